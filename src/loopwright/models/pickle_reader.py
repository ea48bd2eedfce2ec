"""Says which tensors a torch file names, without running the file: sent as text into the sandbox, where it sees the pickle alone.

A pickle is a program for a small stack machine. This one knows the instructions that `torch.save` writes for a dictionary of
tensors; what would import or call anything becomes a mark, and a mark that is not on the list ends the reading. So nothing is ever
called, whatever the file says; the sandbox bounds the time and memory that it may cost. Instructions as in Python's pickletools.

It imports nothing, since a candidate's process can open no file.
"""

STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool",
}  # fmt: skip
TENSOR, PARAMETER = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"
ORDERED, LONGEST = "collections OrderedDict", 120


class Refused(Exception):  # never leaves this file
    """What the pickle asks for and does not get."""


class Mark:
    """A name that would have been imported."""

    def __init__(self, name: str) -> None:
        self.name = name


def tensors(text: str) -> list:
    """Rows (name, dtype, storage, offset, size, stride) of the dictionary in a pickle, whose bytes are the characters of ``text``.

    A single row of one word says what was refused instead.
    """
    try:
        found = Machine(text.encode("latin-1")).run()
        if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
            found = found["state_dict"]
        if type(found) is not dict or not all(type(name) is str and type(row) is list for name, row in found.items()):
            raise Refused("it is no dictionary of tensors")
        return [[name, *row] for name, row in found.items()]
    except Refused as error:
        return [[str(error)[:LONGEST]]]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return [["the pickle is damaged"]]


class Machine:
    """Bytes, a place in them, a stack, the places of its marks, and what was remembered."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.stack: list = []
        self.marks: list = []
        self.memory: dict = {}

    def run(self) -> object:
        """Step by step to the end."""
        while True:
            code = self.take(1)
            if code == b".":
                return self.stack.pop()
            step = STEPS.get(code)
            if step is None:
                raise Refused(f"instruction {code!r}")
            step(self)

    def take(self, count: int) -> bytes:
        """The next bytes."""
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise Refused("it is cut short")
        self.at += count
        return piece

    def number(self, width: int, *, signed: bool = False) -> int:
        """The next number, little-endian."""
        return int.from_bytes(self.take(width), "little", signed=signed)

    def line(self) -> str:
        """Text up to the end of the line."""
        end = self.data.index(b"\n", self.at)
        return self.take(end + 1 - self.at)[:-1].decode()

    def text(self, width: int) -> None:
        """A counted string."""
        self.stack.append(self.take(self.number(width)).decode("utf-8", "surrogatepass"))

    def push(self, value: object) -> None:
        self.stack.append(value)

    def since_mark(self) -> list:
        """What was put on the stack since the last mark."""
        place = self.marks.pop()
        values = self.stack[place:]
        del self.stack[place:]
        return values

    def tuple_of(self, count: int) -> None:
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.push(values)

    def remember(self, place: int) -> None:
        self.memory[place] = self.stack[-1]

    def named(self, name: str) -> None:
        """A name that would be imported: one of the list, or the end."""
        module, _, last = name.partition(" ")
        if name not in (TENSOR, PARAMETER, ORDERED) and not (module == "torch" and last in STORAGES):
            raise Refused(f"it asks for {name!r}")
        self.push(Mark(name))

    def stored(self) -> None:
        """A storage by what torch notes of it: its class, its number, where it was, how long it is."""
        kind, mark, key, _, count = self.stack.pop()
        if kind != "storage" or type(key) is not str or type(count) is not int:
            raise Refused("a strange storage")
        self.push((STORAGES[mark.name.partition(" ")[2]], key))

    def reduce(self) -> None:
        """What would be a call: a tensor's description, a parameter's tensor, or a dictionary."""
        values, mark = self.stack.pop(), self.stack.pop()
        if mark.name == TENSOR:
            (dtype, key), offset, size, stride = values[:4]
            numbers = [offset, *size, *stride]
            if len(size) != len(stride) or not all(type(number) is int and number >= 0 for number in numbers):
                raise Refused("a strange tensor")
            self.push([dtype, key, offset, list(size), list(stride)])
        elif mark.name == PARAMETER:
            self.push(values[0])
        elif mark.name == ORDERED and not values:
            self.push({})
        else:
            raise Refused(f"it calls {mark.name!r}")

    def set_items(self, values: list) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise Refused("it changes what is no dictionary")
        target.update(zip(values[::2], values[1::2], strict=True))

    def append(self, values: list) -> None:
        if type(self.stack[-1]) is not list:
            raise Refused("it changes what is no list")
        self.stack[-1].extend(values)

    def build(self) -> None:
        """State of a dictionary (its ``_metadata``): not needed."""
        self.stack.pop()
        if type(self.stack[-1]) is not dict:
            raise Refused("it sets the state of what is no dictionary")


STEPS = {
    b"\x80": lambda m: m.take(1),  # PROTO
    b"\x95": lambda m: m.take(8),  # FRAME
    b"(": lambda m: m.marks.append(len(m.stack)),
    b")": lambda m: m.push(()),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number(1)),
    b"M": lambda m: m.push(m.number(2)),
    b"J": lambda m: m.push(m.number(4, signed=True)),
    b"\x8a": lambda m: m.push(m.number(m.number(1), signed=True)),  # LONG1
    b"G": lambda m: (m.take(8), m.push(None)),  # a float: no tensor needs one
    b"X": lambda m: m.text(4),
    b"\x8c": lambda m: m.text(1),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"q": lambda m: m.remember(m.number(1)),
    b"r": lambda m: m.remember(m.number(4)),
    b"\x94": lambda m: m.remember(len(m.memory)),  # MEMOIZE
    b"h": lambda m: m.push(m.memory[m.number(1)]),
    b"j": lambda m: m.push(m.memory[m.number(4)]),
    b"c": lambda m: m.named(f"{m.line()} {m.line()}"),
    b"\x93": lambda m: m.named(" ".join(map(str, (m.stack.pop(-2), m.stack.pop())))),  # STACK_GLOBAL
    b"Q": lambda m: m.stored(),
    b"R": lambda m: m.reduce(),
    b"s": lambda m: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"a": lambda m: m.append([m.stack.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b"b": lambda m: m.build(),
}
