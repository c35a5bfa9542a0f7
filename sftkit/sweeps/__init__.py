"""Sweeps: a declarative file of languages, tasks, methods, densities and seeds, as a Snakemake workflow."""
