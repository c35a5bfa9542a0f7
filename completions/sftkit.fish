function __sftkit_complete
    set -l answer (_SFTKIT_COMPLETE=complete_fish _TYPER_COMPLETE_ARGS=(commandline -cp) sftkit 2>/dev/null)
    for line in $answer
        set -l part (string split -m 1 \t -- $line)
        switch $part[1]
            case sft
                __fish_complete_path (commandline -ct) | string match -r '.*(?:\.sft|/)(?:\t.*)?$'
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
            case plain
                echo $part[2]
        end
    end
end

complete --command sftkit --no-files --keep-order --arguments "(__sftkit_complete)"
