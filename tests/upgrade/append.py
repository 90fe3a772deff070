#!/usr/bin/python3
"""append.py DIR OUT_DIR FILE...: the migrations of DIR, and behind them the files, numbered on. `{before}` in a file is the
number of the migration before it."""
import pathlib
import shutil
import sys


def main():
    source, out, *files = map(pathlib.Path, sys.argv[1:])
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(source, out)
    before = len(list(out.glob("[0-9]*.sql")))
    for number, path in enumerate(files, start=before + 1):
        text = path.read_text().replace("{before}", str(number - 1))
        (out / f"{number:04}_{path.name}").write_text(text)


if __name__ == "__main__":
    main()
