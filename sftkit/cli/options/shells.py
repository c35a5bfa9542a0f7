"""How the program answers a shell: by Typer's machinery, whose insides this file alone knows.

Imported only when a shell asks, or when completions are installed.
"""

from __future__ import annotations

from typer import _completion_classes as typers
from typer._click.shell_completion import CompletionItem, add_completion_class
from typer._completion_shared import _completion_scripts

from sftkit.cli.options.completions import FILES


class _Answer:
    """A line for each item."""

    def format_completion(self, item: CompletionItem) -> str:
        """Kind, word and help."""
        return "\t".join((item.type, str(item.value), " ".join((item.help or "").split())))

    def complete(self) -> str:
        """All that could follow."""
        # mixed into Typer's classes, which have what is missing here
        args, incomplete = self.get_completion_args()  # type: ignore[attr-defined]
        return "\n".join(map(self.format_completion, self.get_completions(args, incomplete)))  # type: ignore[attr-defined]


class _Bash(_Answer, typers.BashComplete):
    def get_completion_args(self) -> tuple[list[str], str]:
        """What stands before the word, and its beginning; bash makes three words of ``--option=value``."""
        args, incomplete = super().get_completion_args()
        return [each for each in args if each != "="], "" if incomplete == "=" else incomplete


class _Zsh(_Answer, typers.ZshComplete):
    pass


class _Fish(_Answer, typers.FishComplete):
    def complete(self) -> str:
        """All that could follow; fish takes ``--option=value`` for one word."""
        option, equals, _ = self.get_completion_args()[1].partition("=")
        before = option + equals if option.startswith("--") and equals else ""
        return super().complete().replace("plain\t", f"plain\t{before}")


def offer() -> None:
    """Let Typer answer in this way, and install these scripts, in the place of its own."""
    for (shell, script), kind in zip(FILES.values(), (_Bash, _Zsh, _Fish), strict=True):
        add_completion_class(kind, shell)
        _completion_scripts[shell] = script.replace("%", "%%")  # Typer fills in names that these know
