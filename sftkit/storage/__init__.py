"""Bytes on disk: safetensors files, their dtypes, and outputs that are whole or not there."""
