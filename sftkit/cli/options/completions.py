"""Completions for bash, zsh and fish: what the program answers to a shell, and what ``completions/`` holds.

The program answers with a line for each word that could follow, ``plain``, the word and what it is, parted by tabs; or
with a line that leaves the files to the shell, which knows best how to quote and to descend: ``sft``, ``dir`` or
``file``. ``python -m sftkit.cli.options.completions FOLDER`` writes the scripts; a test fails when they are stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

#: The variable in which a shell asks.
ASKED = "_SFTKIT_COMPLETE"
_BASH = r"""
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
"""
_ZSH = r"""
#compdef sftkit

_sftkit_completion() {
  local line answer
  local -a part plain
  answer=$(_TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _SFTKIT_COMPLETE=complete_zsh $words[1] 2>/dev/null)
  [[ $PREFIX == --*=* ]] && compset -P '*='
  for line in "${(@f)answer}"; do
    part=("${(@ps:\t:)line}")
    case $part[1] in
      sft) _files -g '*.sft' ;;
      dir) _files -/ ;;
      file) _files ;;
      plain) plain+=("${part[2]//:/\\:}:$part[3]") ;;
    esac
  done
  (( $#plain )) && _describe -V sftkit plain
}

if [[ $funcstack[1] == _sftkit ]]; then
  _sftkit_completion "$@"  # found in fpath: this file is the function that the shell asks
else
  compdef _sftkit_completion sftkit
fi
"""
_FISH = r"""
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
"""
#: File name -> shell and script, by the names under which the shells look for them.
FILES = {"sftkit.bash": ("bash", _BASH), "_sftkit": ("zsh", _ZSH), "sftkit.fish": ("fish", _FISH)}

#: How values are called that are files -> what is offered; beside names with ``.sft`` in them.
_KINDS = {"MODEL": "dir", "DIR": "dir", "FROM WHAT…": "sft", "SOURCE": "sft", "FILE": "file", "FILE.toml": "file",
          "F": "file", "OUT": "file"}  # fmt: skip


def scripts() -> dict[str, str]:
    """File name -> content."""
    return {name: text.lstrip() for name, (_, text) in FILES.items()}


def write(folder: Path) -> None:
    """Write every script into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts().items():
        (folder / name).write_text(text, encoding="utf-8")


def complete_quickly(param: Any) -> None:
    """Let a parameter leave values as they are while a shell waits: what makes numbers of them is slow to import."""
    process = param.process_value
    param.process_value = lambda ctx, value: value if ctx.resilient_parsing else process(ctx, value)


def complete_files(param: Any) -> None:
    """Let a parameter complete the files that its value's name speaks of, after the words that it has to offer."""
    words, metavar = param.shell_complete, param.metavar or ""
    kind = _KINDS.get(metavar) or ("sft" if ".sft" in metavar and "OWNER" not in metavar else "")
    if not kind:
        return

    def complete(ctx: Any, incomplete: str) -> list[Any]:
        from typer.core import CompletionItem  # type: ignore[attr-defined]  # not in its __all__

        return [
            *(each for each in words(ctx, incomplete) if each.type == "plain"),
            CompletionItem(incomplete, type=kind),
        ]

    param.shell_complete = complete


if __name__ == "__main__":
    write(Path(sys.argv[1]))
