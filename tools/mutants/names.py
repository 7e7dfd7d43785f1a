"""
Print the names that mutmut gives to the mutants of some files, one a line.

It runs in a workspace, because mutmut reads its settings from the current folder.
"""

import sys

from importlib import import_module
from pathlib import Path


def main() -> None:
    """Print the names of the mutants of the files that the arguments name."""
    # Linters run without mutmut.
    mutate = import_module("mutmut.mutation.file_mutation").mutate_file_contents
    name_of = import_module("mutmut.utils.format_utils").get_mutant_name
    for file in map(Path, sys.argv[1:]):
        source = file.read_text(encoding="utf-8")
        for mutant in mutate(str(file), source, None, set()).mutant_names:
            print(name_of(file, mutant))


if __name__ == "__main__":
    main()
