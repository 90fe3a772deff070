#!/usr/bin/python3
"""Makes what a package tells of a program out of what the program tells itself.

  describe.py pages PROGRAM SECTION SECTIONS_DIR OUT_DIR   PROGRAM --help -> NAME.SECTION.gz, NAME-COMMAND.SECTION.gz ...
  describe.py library HEADER OUT_DIR                       carbond.h -> carbond.3.gz, and a link for each function
  describe.py configuration PROGRAM OUT_FILE               carbond serve --help -> the variables that it reads

The help of our programs is printed from their tables, so its form is known; what does not have it is an error here, and no
option can be left out. What the help does not tell is in SECTIONS_DIR/NAME.mdoc: text for the description, then sections.
Pages bear the date of SOURCE_DATE_EPOCH, or of today.
"""
import datetime
import gzip
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time
import typing

WIDTH = 110  # of the configuration file
MDOC_WIDTH = 80

# In the order that mdoc(7) wants.
ORDER = ("ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO")


class Option(typing.NamedTuple):
    name: str
    value: str
    help: str


class Help(typing.NamedTuple):
    summary: str
    usage: str
    commands: list  # of (words, help): of a program
    options: list  # of Option: of a command
    notes: list  # paragraphs


# ---- reading

def fail(message):
    sys.exit(f"describe.py: {message}")


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout


def paragraphs(text):
    """What stands between empty lines; the exit status is one of its own."""
    return [block.strip("\n") for block in re.split(r"\n[ \t]*\n|\n(?=Exit status: )", text) if block.strip()]


def read_option(text):
    """The value is one word or several, the help stands two blanks behind it or on the next line."""
    match = re.fullmatch(r"  --([\w-]+) ?(|\S+(?: \S+)*?)(?:\s*\n {6}|\s{2,})(\S.*)", text)
    return Option(*match.groups()) if match else fail(f"this is no option: {text!r}")


def read_program(program):
    summary, usage, commands, *notes = paragraphs(output(program, "--help"))
    rows = [re.fullmatch(r"  (\S+(?: \S+)?) +(\S.*)", line) or fail(f"this is no command: {line!r}")
            for line in commands.splitlines()]
    return Help(summary, usage.removeprefix("usage: "), [row.groups() for row in rows], [], notes)


def read_command(program, words):
    head, options, *notes = paragraphs(output(program, *words.split(), "--help"))
    usage, summary = head.removeprefix("usage: ").split("\n", 1)
    return Help(summary, usage, [], [read_option(text) for text in re.split(r"\n(?=  --)", options)], notes)


# ---- mdoc

def escape(text):
    text = text.replace("\\", r"\e")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def hyphens(text):
    """An option's two are no dash, and no line ends within a name."""
    return re.sub(r"\b[A-Za-z]+_\w+", r"\%\g<0>", escape(text).replace("--", r"\-\-"))


def plain(text):
    return hyphens(textwrap.fill(text, MDOC_WIDTH, break_long_words=False, break_on_hyphens=False))


def literal(text):
    return f".Bd -literal -offset indent\n{hyphens(textwrap.dedent(text))}\n.Ed"


def flow(blocks):
    """Text, and what is indented in it as it stands."""
    return "\n".join(literal(block) if block.startswith("  ") else f".Pp\n{plain(block)}" for block in blocks)


def items(rows):
    return "\n".join([".Bl -tag -width Ds", *(f".It {tag}\n{plain(text)}" for tag, text in rows), ".El"])


def flag(option):
    return f"Fl \\-{option.name}" + (f" Ar {option.value}" if option.value else "")


def exit_status(notes):
    """The paragraph that begins so, a row for each number; and the other paragraphs."""
    said = [note for note in notes if note.startswith("Exit status: ")]
    if len(said) != 1:
        fail("the help tells no exit status")
    rows = re.split(r",\s+(?=\d )", said[0].removeprefix("Exit status: ").removesuffix("."))
    return items(row.split(" ", 1) for row in rows), [note for note in notes if note not in said]


def head(name, section, summary):
    date = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), datetime.timezone.utc)
    return [f".Dd {date:%B} {date.day}, {date.year}", f".Dt {name.upper()} {section}", ".Os carbond", ".Sh NAME",
            f".Nm {name}", f".Nd {hyphens(summary)}"]


def read_sections(path):
    """What is before the first section, and the sections."""
    text = path.read_text() if path.exists() else ""
    first, *rest = re.split(r"^\.Sh (.*)\n", text, flags=re.MULTILINE)
    return first.strip(), {name: body.strip() for name, body in zip(rest[::2], rest[1::2])}


def page(lines, description, sections):
    known = [name for name in ORDER if name in sections]
    if len(known) != len(sections):
        fail(f"sections that have no place: {set(sections) - set(known)}")
    lines += [".Sh DESCRIPTION", *(part for part in description if part)]
    for name in known:
        lines += [f".Sh {name}", sections[name]]
    return re.sub(r"^(\.Sh .*)\n\.Pp$", r"\1", "\n".join(lines), flags=re.MULTILINE) + "\n"


def see_also(names, section, more=""):
    """These pages, and those that are named in `more`."""
    pages = [(str(section), name) for name in names]
    pages += [(number, name) for name, number in re.findall(r"^\.Xr (\S+) (\d)", more, re.MULTILINE)]
    return " ,\n".join(f".Xr {name} {number}" for number, name in sorted(pages))


def command_page(program, section, words, status, directory):
    help_text = read_command(program, words)
    binary = pathlib.Path(program).name
    name = f"{binary}-{words.replace(' ', '-')}"
    told, sections = read_sections(directory / f"{name}.mdoc")
    sections = {"EXIT STATUS": status, **sections, "SEE ALSO": see_also([binary], section, sections.get("SEE ALSO", ""))}
    lines = head(name, section, help_text.summary)
    usage = help_text.usage.removeprefix(f"{binary} {words}").split()
    lines += [".Sh SYNOPSIS", f".Nm {binary} {words}",
              *(f".Op Ar {word[1:-1]}" if word[0] == "[" else f".Ar {word}" for word in usage)]
    options = items((flag(option), option.help) for option in help_text.options)
    return name, page(lines, [told, options, flow(help_text.notes)], sections)


def program_page(program, section, help_text, notes, status, directory):
    name = pathlib.Path(program).name
    told, sections = read_sections(directory / f"{name}.mdoc")
    # What the page names itself, and where it leads, is not said again.
    notes = [note for note in notes if not note.startswith(f"{name} COMMAND --help")]
    pages = [f"{name}-{words.replace(' ', '-')}" for words, _ in help_text.commands]
    sections = {"EXIT STATUS": status, **sections, "SEE ALSO": see_also(pages, section, sections.get("SEE ALSO", ""))}
    lines = head(name, section, help_text.summary.removeprefix(name).strip().removesuffix("."))
    lines += [".Sh SYNOPSIS", f".Nm {name} Ar COMMAND", ".Op Ar OPTION...", f".Nm {name}", ".Fl -version"]
    commands = items((f"Cm {words}", text) for words, text in help_text.commands)
    return name, page(lines, [told, commands, flow(notes)], sections)


def write_page(path, text):
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def pages(program, section, directory, out):
    directory, out = pathlib.Path(directory), pathlib.Path(out)
    help_text = read_program(program)
    status, notes = exit_status(help_text.notes)
    made = [program_page(program, section, help_text, notes, status, directory)]
    made += [command_page(program, section, words, status, directory) for words, _ in help_text.commands]
    for name, text in made:
        write_page(out / f"{name}.{section}", text)


# ---- the library's page, out of its header

def comment_text(comment):
    return re.sub(r"^ \* ?", "", comment.strip().removeprefix("/* ").removesuffix(" */"), flags=re.MULTILINE)


def function_entry(prototype):
    result, name, arguments = re.fullmatch(r"(.*?)(carbond_\w+)\((.*)\);", prototype).groups()
    words = " ".join(f'"{argument.strip()}"' for argument in arguments.split(","))
    return name, f".Ft {result.strip()}\n.Fn {name} {words}"


def entry_text(name, _, comment):
    """What it does; then, on lines of their own, its results."""
    parts = re.split(r"(?<=\.)\n(?=CARBOND_)", comment)
    return f".It Fn {name}\n" + "\n.Pp\n".join(plain(part) for part in parts)


def library(header, out):
    out = pathlib.Path(out)
    text = pathlib.Path(header).read_text()
    title, *intro = paragraphs(comment_text(re.match(r"/\*.*?\*/", text, re.DOTALL)[0]))
    functions = []
    for comment, prototype in re.findall(r"(/\*(?:(?!\*/).)*\*/)\nCARBOND_API (.*?;)", text, re.DOTALL):
        prototype = re.sub(r"\s+", " ", prototype.removeprefix("CARBOND_RESULT "))
        functions.append((*function_entry(prototype), comment_text(comment)))
    if len(functions) != text.count("\nCARBOND_API "):
        fail("a function of the header has no comment of its own")
    summary = title.removeprefix("libcarbond: ").removesuffix(".")
    lines = head("carbond", 3, summary)
    lines += [".Sh LIBRARY", "libcarbond", ".Pq libcarbond, \\-lcarbond", ".Sh SYNOPSIS", ".In carbond.h"]
    lines += [entry for _, entry, _ in functions]
    told = "\n".join([".Ss Functions", ".Bl -tag -width Ds", *(entry_text(*row) for row in functions), ".El"])
    files = items([("Pa /usr/include/carbond.h", "the whole manual: every struct, member, code and constant")])
    sections = {"FILES": files, "SEE ALSO": see_also(["carbond-send", "carbond-spool"], 1)}
    write_page(out / "carbond.3", page(lines, [flow(intro), told], sections))
    for name, _, _ in functions:
        write_page(out / f"{name}.3", ".so man3/carbond.3\n")


# ---- the configuration file

PREFACE = """\
What carbond.service tells carbond serve, in its environment: systemd.exec(5), EnvironmentFile. A line that begins
with # is a comment; each option stands here with its default. carbond-serve(8) is the manual. After a change:
systemctl restart carbond

The database. This one is a PostgreSQL of this machine, where the user carbond may enter the database carbond without
a password. Another one: postgresql://carbond:PASSWORD@db.example.org/carbond"""
DATABASE = "CARBOND_DATABASE_URL=postgresql:///carbond"


def comment_lines(text):
    return [f"# {line}".rstrip() for paragraph in text.split("\n\n")
            for line in [*textwrap.wrap(paragraph, WIDTH), ""]][:-1]


def configuration(program, out):
    lines = [*comment_lines(PREFACE), DATABASE, ""]
    for option in read_command(program, "serve").options:
        if option.name in ("help", "database-url"):
            continue
        told = re.sub(r" \[default: [^]]*\]$", "", option.help)
        default = option.help[len(told):].removeprefix(" [default: ").removesuffix("]")
        lines += [*comment_lines(f"{told} ({option.value})"),
                  f"#CARBOND_{option.name.upper().replace('-', '_')}={default}", ""]
    pathlib.Path(out).write_text("\n".join(lines[:-1]) + "\n")


if __name__ == "__main__":
    makers = {"pages": pages, "library": library, "configuration": configuration}
    makers[sys.argv[1]](*sys.argv[2:])
