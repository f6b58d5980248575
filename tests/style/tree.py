"""The files a style rule looks at, and C++ text without what only looks like code."""

import io
import os
import re
import subprocess
import tokenize

CPP = (".h", ".cpp")


class Tree:
    """All files of the project, as paths relative to its root."""

    def __init__(self, root, files=None):
        self.root = root
        self.files = sorted(files if files is not None else list_files(root))

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as source:
            return source.read()

    def cpp(self, *below, tests=True):
        """C++ files, only those below one of the folders if any are given."""
        for path in self.files:
            if not path.endswith(CPP) or (not tests and path.startswith("tests/")):
                continue
            if not below or any(path.startswith(folder + "/") for folder in below):
                yield path


def list_files(root):
    """What git tracks, or everything but build directories where there is no git."""
    git = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True,
                         check=False)
    if git.returncode == 0 and git.stdout:
        return [path for path in git.stdout.split("\0")
                if path and os.path.exists(os.path.join(root, path))]
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if not each.startswith(("build", ".git"))
                      and each not in ("quorate-data", "node_modules", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return found


TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]{0,16})\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.DOTALL)


def blank(match):
    """The same shape without its text: line numbers stay right."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_only(text):
    """C++ with comments, strings and characters blanked out."""
    return TOKEN.sub(blank, text)


def python_code(text):
    """Python without comments and strings: the other tokens of each line, with a space between."""
    lines = [[] for _ in range(text.count("\n") + 2)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
            lines[token.start[0] - 1].append(token.string)
    return "\n".join(" ".join(line) for line in lines)


def without_directives(text):
    """The same without comments, strings and preprocessor lines."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, code_only(text), flags=re.MULTILINE)


def functions(text):
    """(first line, number of lines) of each function with its head; rough, for formatted code."""
    code = without_directives(text)
    scopes, head_start, found = [], 0, []
    for at, character in enumerate(code):
        if character == ";" or character == "}":
            if character == "}" and scopes:
                kind, start = scopes.pop()
                if kind == "function":
                    first = code.count("\n", 0, start) + 1
                    found.append((first, code.count("\n", 0, at) + 2 - first))
            head_start = at + 1
        elif character == "{":
            head = code[head_start:at]
            outside = all(kind == "scope" for kind, _ in scopes)
            start = head_start + len(head) - len(head.lstrip())
            scopes.append((kind_of(head) if outside else "inner", start))
            head_start = at + 1
    return found


def kind_of(head):
    """What a brace opens at the level of a file, namespace or class."""
    head = re.sub(r"\balignas\s*\([^)]*\)|\[\[[^\]]*\]\]", "", head)
    while re.search(r"<[^<>]*>", head):
        head = re.sub(r"<[^<>]*>", "", head)
    if re.search(r"\bnamespace\b", head) or re.search(r"\bextern\s*$", head.strip()):
        return "scope"
    if re.search(r"\b(class|struct|union|enum)\b", head) and not re.search(r"\)\s*[^()]*$", head):
        return "scope"
    return "function" if ")" in head and "=" not in head.split("(")[0] else "inner"


NAMESPACE = re.compile(r"^(?:inline\s+)?namespace\s*([\w:]*)$")
TYPE = re.compile(r"^(?:class|struct|union)\s+([\w:]+)(?:\s+final)?\s*(?::(?!:).*)?$", re.DOTALL)


def types(text):
    """(line, qualified name) of each class, struct and union that other files could mean too.

    Those in anonymous namespaces and in functions are a file's own.
    """
    code = without_directives(text)
    scopes, head_start, found = [], 0, []
    for at, character in enumerate(code):
        if character == "}" and scopes:
            scopes.pop()
        elif character == "{":
            name, is_type = name_of(code[head_start:at])
            scopes.append(name)
            if is_type and None not in scopes:
                found.append((code.count("\n", 0, at) + 1, "::".join(filter(None, scopes))))
        if character in ";{}":
            head_start = at + 1
    return found


def name_of(head):
    """(name, whether it is a type) of what a brace opens; None: a scope that hides its names."""
    head = re.sub(r"\b(public|private|protected)\s*:(?!:)", "", head)
    head = re.sub(r"\balignas\s*\([^)]*\)|\[\[[^\]]*\]\]", "", head).strip()
    head = re.sub(r"^template\s*<.*>\s*(?=(class|struct|union)\b)", "", head, flags=re.DOTALL)
    if head == "extern":
        return "", False
    namespace = NAMESPACE.match(head)
    if namespace:
        return namespace.group(1) or None, False
    found = TYPE.match(head)
    return (found.group(1), True) if found else (None, False)
