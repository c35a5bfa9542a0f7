"""The command line: parse, call one operation, render. Nothing in the library imports this package."""
