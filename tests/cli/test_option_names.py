"""No option is lost: each that was ever public is there, by the same names, and takes a value as it did."""

from __future__ import annotations

from typing import Any

import pytest

from sftkit.cli.app import SUMMARIES, built

#: Names and short forms; = takes a value, =… may be given several times, neither is a switch.
PUBLIC = {
    "demo": """
        --output/-o= --seed= --quick --overwrite --quiet/-q --json
    """,
    "data": """
        --mlm=… --clm=… --pos=… --ner=… --dep=… --nli=… --classify=… --qa=… --dev=… --test=… --base=
        --max-length= --map-label=… --columns= --where=… --scheme-in= --strict-answers --subtypes --max-lines=
        --pack/--no-pack --streaming --trust-remote-code --quiet/-q --json
    """,
    "train": """
        --mlm=… --clm=… --pos=… --ner=… --dep=… --nli=… --classify=… --qa=… --base= --output/-o= --dev=… --with=
        --source=… --objective= --method= --k= --density= --criterion= --selection= --mask-from= --avoid=…
        --iterations= --rewind-to= --steps= --epochs= --min-steps= --phase1-steps= --phase1-epochs=
        --batch-size= --max-length= --lr= --l1= --l0= --eval-every= --freeze=… --train-norms --temperature=
        --accumulate= --precision= --base-dtype= --gradient-checkpointing --fsdp --report-to=… --run-dir=
        --dry-run --resume --map-label=… --columns= --where=… --scheme-in= --strict-answers --language=
        --subtypes --decode= --paper-compat --scheme= --stride= --max-lines= --pack/--no-pack --streaming
        --config= --values= --seed= --device= --trust-remote-code --overwrite --quiet/-q --json
    """,
    "compose": """
        --output/-o= --method= --trim= --drop= --seed= --head= --no-head --values= --shard-size= --only=
        --exclude= --force --overwrite --dry-run --json --quiet/-q
    """,
    "subtract": """
        --output/-o= --k= --density= --values= --shard-size= --only= --exclude= --force --overwrite --json
        --quiet/-q
    """,
    "inspect": """
        --layers --tokens --top= --tokenizer= --plot= --curves= --overwrite --json
    """,
    "overlap": """
        --metric= --per-layer --csv= --plot= --overwrite --json
    """,
    "evaluate": """
        --mlm=… --clm=… --pos=… --ner=… --dep=… --nli=… --classify=… --qa=… --each= --against=… --predictions=
        --csv= --plot= --resamples= --batch-size= --max-length= --seed= --map-label=… --columns= --where=…
        --scheme-in= --strict-answers --language= --subtypes --decode= --paper-compat --scheme= --stride=
        --max-lines= --pack/--no-pack --streaming --device= --trust-remote-code --force --overwrite --quiet/-q
        --json
    """,
    "predict": """
        --mlm=… --pos=… --ner=… --dep=… --nli=… --classify=… --qa=… --output/-o= --words/--no-words --jsonl
        --batch-size= --max-length= --columns= --decode= --stride= --device= --trust-remote-code --force
        --overwrite --quiet/-q
    """,
    "convert": """
        --output/-o= --base= --objective= --labels= --values= --overwrite --json --quiet/-q
    """,
    "push": """
        --revision= --private --dry-run --overwrite --json --quiet/-q
    """,
    "pull": """
        --output/-o= --overwrite --json --quiet/-q
    """,
}


def shown(param: Any) -> str:
    names = "/".join((*param.opts, *param.secondary_opts))
    return names + ("" if param.is_flag else "=…" if param.multiple else "=")


@pytest.mark.parametrize("command", SUMMARIES)
def test_every_option_that_was_public_is_there(command: str) -> None:
    options = {shown(param) for param in built(command).params if param.param_type_name == "option"}
    assert set(PUBLIC.get(command, "").split()) - options == set()
