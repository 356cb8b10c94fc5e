"""The trajlab command: parse, call, print."""
