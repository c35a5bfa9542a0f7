"""The offline demonstration: invented languages and a tiny model pretrained on them, for `sftkit demo`."""
