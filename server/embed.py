#!/usr/bin/python3
"""Turns the files that the server carries in its binary into C.

  embed.py statements SQL_DIR OUT_DIR      sql/*.sql         -> statements.h, statements.c
  embed.py migrations DIR OUT_DIR          migrations/*.sql  -> migrations.c
  embed.py specification FILE OUT_DIR      openapi.yaml      -> specification.c (YAML and JSON)

A statement is written with named parameters (`:project_id`) and with shapes (`{project}`, the text of project.sql in
sql/shapes or sql/reach, which may hold further shapes). Here the names become $1, $2 ... and travel beside the text,
so that the server binds by name.
"""
import json
import pathlib
import re
import sys

# A parameter is a colon and a name, but not the second half of a cast (`::uuid`) nor inside a string.
PARAMETER = re.compile(r"'(?:[^']|'')*'|::|:([a-z_]+)")
SHAPE = re.compile(r"\{([a-z_]+)\}")
COMMENT = re.compile(r"--[^\n]*")
# In a migration: the version that a server must have been built for to work on the schema after it (migrations/README.md).
OLDEST_SERVER = re.compile(r"^-- oldest server: (\d+)$", re.MULTILINE)


def c_string(text):
    """A C string literal for each line, joined by the compiler."""
    def literal(line):
        escaped = json.dumps(line, ensure_ascii=False)
        return "".join(c if c.isascii() else "".join(f"\\{byte:03o}" for byte in c.encode()) for c in escaped)

    return "\n    ".join(literal(line) for line in text.splitlines(keepends=True) or [""])


def c_bytes(data):
    """A byte array, for texts past what a string literal may hold."""
    rows = [", ".join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
    return ",\n    ".join(rows)


def compile_statement(path, shapes):
    text = COMMENT.sub("", path.read_text())

    def shape(match):
        if match.group(1) not in shapes:
            sys.exit(f"{path}: no shape {{{match.group(1)}}} in sql/shapes or sql/reach")
        return SHAPE.sub(shape, shapes[match.group(1)])

    text = SHAPE.sub(shape, text)
    names = []

    def parameter(match):
        name = match.group(1)
        if not name:
            return match.group(0)
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    text = PARAMETER.sub(parameter, text)
    text = "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
    return text, names


def read_shapes(source):
    shapes = {}
    for path in sorted(source.glob("*/*.sql")):
        if path.stem in shapes:
            sys.exit(f"{path}: there is another shape of this name")
        shapes[path.stem] = COMMENT.sub("", path.read_text()).strip()
    return shapes


def statements(source, out):
    shapes = read_shapes(source)
    header = ["/* Made from sql/ by embed.py. */", "#pragma once", '#include "db/statement.h"', ""]
    body = ['#include "statements.h"', "#include <stddef.h>", ""]
    names = []
    for path in sorted(source.glob("*.sql")):
        text, parameters = compile_statement(path, shapes)
        name = path.stem
        names.append(name)
        header.append(f"extern const struct db_statement sql_{name};")
        listed = "".join(f'"{p}", ' for p in parameters)
        body.append(f"const struct db_statement sql_{name} = {{")
        body.append(f'    "{name}", {len(names) - 1}, {len(parameters)}, {{{listed}NULL}},\n    {c_string(text)}}};\n')
    header.append(f"\nenum {{ DB_STATEMENT_COUNT = {len(names)} }};")
    body.append("const struct db_statement *const db_statements[] = {")
    body.extend(f"    &sql_{name}," for name in names)
    body.append("    NULL};")
    body.append("const int db_statement_count = DB_STATEMENT_COUNT;")
    (out / "statements.h").write_text("\n".join(header) + "\n")
    (out / "statements.c").write_text("\n".join(body) + "\n")


def oldest_server(text):
    return max(map(int, OLDEST_SERVER.findall(text)), default=0)


def migrations(source, out):
    body = ['#include "db/migrate.h"', "#include <stddef.h>", ""]
    files = sorted(source.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    for expected, path in enumerate(files, start=1):
        if int(path.name[:4]) != expected:
            sys.exit(f"{path}: expected number {expected:04d}; migrations are numbered without gaps")
    body.append("const struct migration migrations[] = {")
    for path in files:
        text = path.read_text()
        body.append(f'    {{{int(path.name[:4])}, {oldest_server(text)}, "{path.stem}",\n    {c_string(text)}}},')
    body.append("    {0, 0, NULL, NULL}};")
    (out / "migrations.c").write_text("\n".join(body) + "\n")


def specification(source, out):
    import yaml

    text = source.read_bytes()
    document = json.dumps(yaml.safe_load(text), ensure_ascii=False, separators=(",", ":"), default=str).encode()
    body = ['#include "api/specification.h"', ""]
    for name, data in (("yaml", text), ("json", document)):
        body.append(f"const unsigned char specification_{name}[] = {{\n    {c_bytes(data)}}};")
        body.append(f"const size_t specification_{name}_size = sizeof specification_{name};\n")
    (out / "specification.c").write_text("\n".join(body) + "\n")


def main():
    kinds = {"statements": statements, "migrations": migrations, "specification": specification}
    if len(sys.argv) != 4 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    kinds[sys.argv[1]](pathlib.Path(sys.argv[2]), out)


if __name__ == "__main__":
    main()
