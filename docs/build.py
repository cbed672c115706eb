"""Builds the documentation's site: `python docs/build.py` stages the pages in build/docs, zensical makes build/site.

Pages are those of this folder and of the repository (`ELSEWHERE`). A link to a file of the repository leads to its
page where it is one, else to the repository; a link that leads nowhere ends the build. The API reference comes from
the docstrings of what the packages export.
"""

from __future__ import annotations

import inspect
import posixpath
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
STAGED = ROOT / "build" / "docs"
REPOSITORY = "https://github.com/holdfast-memory/holdfast/blob/main/"
ELSEWHERE = {  # a file of the repository -> its page
    "docs/RELIABILITY.md": "reliability.md",
    "docs/BENCHMARKS.md": "benchmarks.md",
    "docs/COMING_FROM.md": "coming-from.md",
    "docs/CONTAINERS.md": "containers.md",
    "langmem_adapter/README.md": "langchain.md",
    "llamaindex_adapter/README.md": "llamaindex.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
GENERATED = {
    "core/holdfast/memory.py": "reference/memory.md"
}  # where a link to a file leads to its description
REFERENCE = {  # module -> its page; what several export is described in the first
    "holdfast.types": "types",
    "holdfast.errors": "errors",
    "holdfast.ports": "ports",
    "holdfast.models": "models",
    "holdfast": "memory",
    "langchain_holdfast": "langchain",
    "llama_index.memory.holdfast": "llamaindex",
}
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.M | re.S)
FENCED = re.compile(r"(^```.*?^```$)", re.M | re.S)
LINK = re.compile(r"(!?\[(?:[^\]`]|`[^`\n]*`)*\]\()([^)\s]+)(\))|`[^`\n]+`")  # or code, which is passed over
QUALIFIED = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")
UNQUOTED = re.compile(r"(: |-> )'([^']+)'(?= =|$)")  # an annotation that was never evaluated
ENTRY = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*|[A-Z]\w*Error): (.*)")


class Broken(Exception):
    """What has to be mended before the site can be built."""


# -- pages -----------------------------------------------------------------------------------------------


def sources() -> dict[str, str]:
    """Every page that is written by hand: its file in the repository -> its place in the site."""
    own = {
        f"docs/{path}": path
        for path in sorted(
            file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs").rglob("*.md")
        )
    }
    return own | ELSEWHERE


def staged(source: str, pages: dict[str, str]) -> str:
    """A page as the site has it: its links lead to pages, or to the repository."""
    here = posixpath.dirname(pages[source]) or "."
    pages = pages | GENERATED

    def led(match: re.Match[str]) -> str:
        target, _, anchor = (match[2] or "").partition("#")
        if not target or (":" in target and not target.startswith(REPOSITORY)):
            return match[0]
        if target.startswith(REPOSITORY):
            path = target.removeprefix(REPOSITORY)
        else:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path in pages:
            path = posixpath.relpath(pages[path], here)
        elif not (ROOT / path).exists():
            raise Broken(f"{source}: {match[2]} leads nowhere")
        elif not (path.startswith("docs/") and (ROOT / path).suffix in {".svg", ".png"}):
            path = REPOSITORY + path
        else:
            path = posixpath.relpath(path.removeprefix("docs/"), here)
        return f"{match[1]}{path}{'#' + anchor if anchor else ''}{match[3]}"

    parts = FENCED.split((ROOT / source).read_text(encoding="utf-8"))
    return "".join(part if index % 2 else LINK.sub(led, part) for index, part in enumerate(parts))


# -- reference -------------------------------------------------------------------------------------------


def prose(docstring: str) -> str:
    """A docstring as Markdown: `name: meaning` lines are entries of a list."""
    lines = list[str]()
    entry = False
    for line in inspect.cleandoc(docstring).splitlines():
        match = ENTRY.fullmatch(line)
        if match:
            if not entry and lines and lines[-1]:
                lines.append("")
            lines.append(f"- `{match[1]}`: {match[2]}")
        elif entry and line.startswith("    ") and line.strip():
            lines.append(line)
            continue
        else:
            if entry and line:
                lines.append("")
            lines.append(line)
        entry = bool(match)
    return "".join(
        part if index % 2 else part.replace("<", "&lt;")
        for index, part in enumerate(CODE.split("\n".join(lines)))
    )


def called(name: str, thing: Any) -> str:
    """How it is called, one argument a line where it is long; empty where nothing is told."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    arguments, separated = list[str](), False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not separated:
            arguments, separated = [*arguments, "*"], True
        separated = separated or parameter.kind is parameter.VAR_POSITIONAL
        arguments.append(QUALIFIED.sub("", str(parameter)))
    returned = signature.return_annotation
    given = (
        "" if returned is signature.empty else f" -> {QUALIFIED.sub('', inspect.formatannotation(returned))}"
    )
    arguments, given = (
        [UNQUOTED.sub(r"\1\2", argument) for argument in arguments],
        UNQUOTED.sub(r"\1\2", given),
    )
    shown = f"{name}({', '.join(arguments)}){given}"
    if len(shown) > 100:
        shown = f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){given}"
    return f"```python\n{shown}\n```\n\n"


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class that this project wrote, without the twins of what stands here."""
    ours = [base for base in reversed(cls.__mro__) if base.__module__.split(".")[0] in PACKAGES]
    names = dict.fromkeys(name for base in ours for name in vars(base))
    for name in names:
        twin_of = name.removeprefix("a")
        if name.startswith(("_", "model_")) or (twin_of != name and twin_of in names):
            continue
        thing = inspect.getattr_static(cls, name)
        described = inspect.getdoc(getattr(cls, name, None)) or ""
        if described and (
            isinstance(thing, (property, staticmethod, classmethod)) or callable(getattr(cls, name))
        ):
            yield name, thing


PACKAGES = {module.split(".")[0] for module in REFERENCE}


def described(name: str, thing: Any) -> Iterator[str]:
    """The section of one exported name."""
    yield f"## {name}\n\n"
    if not inspect.isclass(thing):
        yield called(name, thing) if callable(thing) else ""
        documented = callable(thing) and not hasattr(thing, "__args__")
        yield f"{prose(inspect.getdoc(thing) or '')}\n\n" if documented else f"`{thing!r}`\n\n"
        return
    if not issubclass(thing, BaseException) and not getattr(thing, "_is_protocol", False):
        yield called(name, thing)
    yield f"{prose(vars(thing).get('__doc__') or '')}\n\n"
    if issubclass(thing, BaseException):
        return
    for member, raw in members(thing):
        twin = " and its async twin `a" + member + "`" if hasattr(thing, f"a{member}") else ""
        yield f"### {name}.{member}\n\n"
        value = getattr(thing, member)
        yield "" if isinstance(raw, property) else called(member, value)
        yield f"{prose(inspect.getdoc(value) or '')}\n\n"
        yield f"`{member}`{twin}.\n\n" if twin else ""


def exported(module: ModuleType) -> Sequence[str]:
    """What a module says it exports, else the classes that it defines."""
    own = [
        name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__
    ]
    return getattr(module, "__all__", [name for name in own if name[0].isupper()])


def reference() -> dict[str, str]:
    """The pages of the API reference: place in the site -> text."""
    told, pages = set[int](), dict[str, str]()
    for module, page in REFERENCE.items():
        home = import_module(module)
        sections = list[str]()
        for name in exported(home):
            thing = getattr(home, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                if id(thing) in told:
                    continue
                told.add(id(thing))
            sections += described(name, thing)
        pages[f"reference/{page}.md"] = f"# {module}\n\n{prose(home.__doc__ or '')}\n\n{''.join(sections)}"
    return pages


# -- the site --------------------------------------------------------------------------------------------


def listed(nav: Any) -> Iterator[tuple[str, str]]:
    """The pages of the navigation, in its order: title and place."""
    for entry in nav:
        for title, target in entry.items():
            if isinstance(target, str):
                yield title, target
            else:
                yield from listed(target)


def first_sentence(text: str) -> str:
    """What a page is about: the first line after its title that is prose."""
    for line in FENCED.sub("", text).splitlines():
        if (line and line[0].isalpha()) or line.startswith(("**", "`")):
            return re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", line).split(". ")[0].rstrip(".:")
    return ""


def stage() -> None:
    """Write all pages to build/docs. Raises Broken."""
    project = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    places = sources()
    texts = {place: staged(source, places) for source, place in places.items()} | reference()
    nav = list(listed(project["nav"]))
    if missing := {place for _, place in nav} ^ set(texts):
        raise Broken(f"in the navigation or among the pages, but not in both: {', '.join(sorted(missing))}")
    shutil.rmtree(STAGED, ignore_errors=True)
    for place, text in texts.items():
        target = STAGED / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for picture in (*(ROOT / "docs").rglob("*.svg"), *(ROOT / "docs").rglob("*.png")):
        shutil.copy(picture, STAGED / picture.relative_to(ROOT / "docs"))
    lines = [f"# {project['site_name']}", "", f"> {project['site_description']}", "", "## Pages", ""]
    for title, place in nav:
        url = project["site_url"] + ("" if place == "index.md" else place.removesuffix(".md") + "/")
        lines.append(f"- [{title}]({url}): {first_sentence(texts[place])}")
    (STAGED / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    try:
        stage()
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    return subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=ROOT
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
