_sftkit_completion() {
    local IFS=$'\n' current=${COMP_WORDS[COMP_CWORD]} line kind word
    COMPREPLY=()
    [[ $current == = ]] && current=
    for line in $(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _SFTKIT_COMPLETE=complete_bash "$1" 2>/dev/null)
    do
        IFS=$'\t' read -r kind word line <<< "$line"
        case $kind in
            sft) COMPREPLY+=($(compgen -f -X '!*.sft' -- "$current") $(compgen -d -- "$current")) ;;
            dir) COMPREPLY+=($(compgen -d -- "$current")) ;;
            file) COMPREPLY+=($(compgen -f -- "$current")) ;;
            plain) COMPREPLY+=("$word") ;;
        esac
        [[ $kind == plain ]] || compopt -o filenames
    done
}

complete -o nosort -F _sftkit_completion sftkit
