"""The public face in Python: what `import sftkit` offers."""
