"""What a file is that is no safetensors file, by how it begins: what a wrong download or a wrong name leaves."""

from __future__ import annotations

from pathlib import Path

#: How files begin -> what they are, and what to do.
_BEGINNINGS = {
    b"version https://git-lfs": "a pointer of Git LFS. Fetch what it points to: git lfs pull",
    b"PK\x03\x04": "a ZIP archive or what torch.save writes. Unpack it (unzip); pytorch_diff.bin: sftkit convert",
    b"\x80\x02": "a pickle, as torch.save writes. An SFT that was published so: sftkit convert FOLDER -o x.sft",
    b"\x1f\x8b": "compressed. Unpack it first (gunzip, or tar -xzf).",
    b"\xfd7zXZ\0": "compressed. Unpack it first (unxz).",
    b"\x28\xb5\x2f\xfd": "compressed. Unpack it first (unzstd).",
    b"\x89HDF": "HDF5, as TensorFlow writes. Take the model's weights in safetensors.",
    b"PAR1": "a table in Parquet.",
    b"\x89PNG": "a picture.",
    b"%PDF-": "a PDF.",
}
_PAGES = (b"<!doctype html", b"<html")
#: Where a tar archive says that it is one; what is looked at.
_TAR, _LOOKED_AT = slice(257, 262), 512
#: Bytes of the length of a header: what is shorter says nothing of its kind.
_LENGTH = 8


def kind_of(path: Path) -> str:
    """What a file is and what to do with it, as the end of a sentence; "" where that is not seen."""
    with path.open("rb") as file:
        begin = file.read(_LOOKED_AT)
    if told := next((told for mark, told in _BEGINNINGS.items() if begin.startswith(mark)), ""):
        return told
    if begin.lstrip().lower().startswith(_PAGES):
        return "a page of the web, as a download with a wrong address leaves it. Download the file itself."
    if begin[_TAR] == b"ustar":
        return "a tar archive. Unpack it first (tar -xf)."
    if path.suffix == ".onnx":
        return "ONNX. Take the model's weights in safetensors."
    return "text." if len(begin) > _LENGTH and _is_text(begin) else ""


def _is_text(begin: bytes) -> bool:
    try:
        text = begin.decode()
    except UnicodeDecodeError as error:
        if error.start < len(begin) - 3:  # else a character that the end cuts
            return False
        text = begin[: error.start].decode()
    return all(each.isprintable() or each.isspace() for each in text)
