"""The structures that python/ declares are those of the headers: compares with what tests/python/abi.c printed (standard input)."""
import sys

from actune import _library

wrong = 0
for line in sys.stdin:
    name, expected = line.split()
    structure, _, field = name.partition(".")
    declared = getattr(_library, structure)
    found = getattr(declared, field).offset if field else __import__("ctypes").sizeof(declared)
    if found != int(expected):
        print(f"{name}: {expected} in C, {found} in Python")
        wrong += 1
sys.exit(wrong != 0)
