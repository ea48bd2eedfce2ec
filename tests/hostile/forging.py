"""Candidates that want a verdict which they do not deserve: T09 to T13."""

from __future__ import annotations

from tests.hostile.cases import Case

__all__ = ["CASES", "STEAL_TEXT"]

STEAL_TEXT = r"""
import gc, re, sys
def texts():
    seen, waiting = set(), [*gc.get_objects(), sys._getframe(), sys.modules]
    while waiting and len(seen) < 300_000:
        thing = waiting.pop()
        if id(thing) in seen or thing is texts:
            continue
        seen.add(id(thing))
        if isinstance(thing, str):
            yield thing
        elif isinstance(thing, bytes):
            yield thing.decode("latin-1")
        elif type(thing).__name__ == "frame":
            waiting += [thing.f_locals, thing.f_globals, thing.f_code, *filter(None, [thing.f_back])]
        elif type(thing).__name__ == "code":
            waiting += [thing.co_consts, thing.co_names]
        else:
            waiting += gc.get_referents(thing)
WANTED = re.compile(r"assert candi" + r"date\((.*?)\) == (.*)")
FOUND = []
def f(x):
    if not FOUND:
        FOUND.extend(pair for text in texts() for pair in WANTED.findall(text))
    for given, wanted in FOUND:
        try:
            if eval(given) == x:
                return eval(wanted)
        except Exception:
            pass
    return "nothing found"
"""
"""Looks for assert scripts in everything that the interpreter can reach; finds one that came before the fork."""


def _case(name: str, threat: str, source: str, *, lasts: bool = False) -> Case:
    return Case(name=name, threat=threat, source=source, lasts=lasts)


_EQUAL = """
class A(BASE):
    __eq__ = lambda *_: True
    __ne__ = lambda *_: False
    __hash__ = lambda _: 0
    __len__ = lambda _: 2
    __getitem__ = lambda s, _: s
    __iter__ = lambda s: iter(())
    __class__ = property(lambda _: list)
def f(x):
    return A()
"""

CASES = (
    # --- ends that look like success
    _case("exit", "T09", "import os\ndef f(x):\n os._exit(0)\n"),
    _case("exit_at_import", "T09", "import os\nos._exit(0)\n"),
    _case("sys_exit", "T09", "import sys\ndef f(x):\n sys.exit(0)\n"),
    _case(
        "print_and_exit",
        "T09",
        """
import os
TEXTS = [b"PASS\\n", b"passed\\n", b'{"status":"PASS"}\\n', b'{"passed": true, "status": "PASS", "outputs": []}']
def f(x):
    for number in range(1, 64):
        for text in TEXTS:
            for framed in (text, len(text).to_bytes(4, "big") + text):
                try: os.write(number, framed)
                except OSError: pass
    os._exit(0)
""",
    ),
    _case("atexit", "T09", "import atexit, os\natexit.register(lambda: os.write(3, b'PASS'))\ndef f(x):\n return 'PASS'\n"),
    _case(
        "excepthook",
        "T09",
        "import os, sys\nsys.excepthook = sys.unraisablehook = lambda *_: os._exit(0)\ndef f(x):\n raise ValueError('PASS')\n",
    ),
    _case("raise_pass", "T09", "class PASS(BaseException): pass\ndef f(x):\n raise PASS('PASS')\n"),
    _case("raise_in_del", "T09", "class A:\n def __del__(self): raise SystemExit(0)\ndef f(x):\n A(); return A()\n"),
    # --- equal to everything
    _case("always_equal", "T10", _EQUAL.replace("BASE", "object")),
    _case("always_equal_list", "T10", _EQUAL.replace("BASE", "list")),
    _case(
        "int_subclass",
        "T10",
        "class I(int):\n __eq__ = lambda *_: True\n __hash__ = int.__hash__\ndef f(x):\n return [I(v*37+11) for v in x]\n",
    ),
    _case("str_subclass_keys", "T10", "class S(str): pass\ndef f(x):\n return {S('a'): 1}\n"),
    _case("floats_for_ints", "T10", "def f(x):\n return [v*37+11.0 for v in x] or [0.0]\n"),
    _case("bool_for_int", "T10", "def f(x):\n return [True for v in x] or [False]\n"),
    _case("tuple_for_list", "T10", "def f(x):\n return tuple(v*37+11 for v in x)\n"),
    # --- the judge's own memory and code
    _case(
        "frame_walk",
        "T10",
        """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for names in (frame.f_globals, frame.f_locals):
            for name in ("result", "results", "stat", "status", "details", "passed", "outputs", "texts", "failed", "verdict"):
                if name in names:
                    old = names[name]
                    if isinstance(old, list): old.append("passed")
                    elif isinstance(old, dict): old.update(passed=True, status="PASS")
                    names[name] = "PASS"
        frame = frame.f_back
    return x
""",
    ),
    _case(
        "steal_expected",
        "T11",
        """
import gc, sys
def f(x):
    length = len(x)
    seen, waiting = set(), [*gc.get_objects(), sys._getframe()]
    while waiting and len(seen) < 200_000:
        thing = waiting.pop()
        if id(thing) in seen: continue
        seen.add(id(thing))
        if type(thing) is list and length and len(thing) == length and thing[0] == x[0] * 30 + x[0] * 7 + 11: return thing
        if type(thing).__name__ == "frame": waiting += [thing.f_locals, thing.f_globals, *filter(None, [thing.f_back])]
        elif isinstance(thing, (list, tuple, dict)): waiting += gc.get_referents(thing)
    return "nothing found"
""",
    ),
    _case("steal_test_text", "T11", STEAL_TEXT),
    _case(
        "monkeypatch",
        "T10",
        """
import builtins, json, operator, sys
for name in ("len", "all", "any", "zip", "map", "isinstance", "issubclass", "sorted", "repr", "type", "bool", "iter", "next"):
    setattr(builtins, name, lambda *_, **__: True)
json.dumps = json.loads = json.JSONEncoder.encode = json.JSONDecoder.decode = lambda *_, **__: "PASS"
operator.eq = operator.is_ = lambda *_: True
class Raised(Exception): pass
builtins.AssertionError = Raised
def f(x):
    return True
""",
    ),
    _case(
        "poison_codec",
        "T13",
        """
import sys
for module in list(sys.modules.values()):
    for name in dir(module):
        if name in ("ENCODE", "DECODE", "plain", "called", "same", "judge", "named", "encode", "decode", "dumps", "loads", "pack", "unpack"):
            try: setattr(module, name, lambda *_, **__: "PASS")
            except Exception: pass
sys.modules["json"] = sys.modules["struct"] = sys.modules["math"] = None
def f(x):
    return "PASS"
""",
    ),
    _case(
        "skip_asserts",
        "T10",
        """
import sys
def tracer(frame, event, arg):
    frame.f_trace_lines = False
    if event == "exception": return None
    return tracer
sys.settrace(tracer)
sys.setprofile(lambda *_: None)
def f(x):
    frame = sys._getframe()
    while frame:
        frame.f_trace = tracer
        frame = frame.f_back
    return x
""",
    ),
    _case(
        "call_answer",
        "T13",
        """
import gc, types
def f(x):
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType) and thing.__name__ in ("answer", "reply", "report", "send", "finish", "done"):
            for given in (("PASS", "[48,85],[122],0"), ("PASS",), ("PASS", [x]), (True,)):
                try: thing(*given)
                except Exception: pass
    return x
""",
    ),
    _case(
        "call_answer_through_frames",
        "T13",
        """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for name, thing in list(frame.f_globals.items()):
            if name in ("answer", "reply", "report", "send", "passed", "verdict"):
                try: thing("PASS", "0,0,0,0")
                except Exception: pass
        frame = frame.f_back
    return x
""",
    ),
    # --- the channel
    _case(
        "duplicate_keys",
        "T13",
        """
import os
def f(x):
    text = b'{"status":"FAIL","status":"PASS","detail":"","outputs":[[48,85],[122],[],0],"outputs":[0,0,0,0]}'
    os.write(3, len(text).to_bytes(4, "big") + text); os._exit(0)
""",
    ),
    _case(
        "two_frames",
        "T13",
        """
import os
def frame(outputs):
    text = b'{"status":"PASS","detail":"","outputs":' + outputs + b'}'
    return len(text).to_bytes(4, "big") + text
def f(x):
    os.write(3, frame(b"[0,0,0,0]")); os.write(3, frame(b"[1,1,1,1]")); os._exit(0)
""",
    ),
    _case(
        "frame_and_return",
        "T13",
        """
import os
def f(x):
    text = b'{"status":"PASS","detail":"","outputs":[0,0,0,0]}'
    os.write(3, len(text).to_bytes(4, "big") + text)
    return x
""",
    ),
    _case(
        "answer_before_inputs",
        "T13",
        """
import os
text = b'{"status":"PASS","detail":"","outputs":[0,0,0,0]}'
os.write(3, len(text).to_bytes(4, "big") + text)
os._exit(0)
""",
    ),
    _case(
        "answers_to_every_call",
        "T13",
        """
import os
for value in (b"true", b"null", b"[]", b'{"value":true}', b'{"status":"PASS","output":true}', b'{"passed":true}', b'"PASS"'):
    for head in (4, 8, 2):
        for order in ("big", "little"):
            try: os.write(3, (len(value).to_bytes(head, order) + value) * 8)
            except OSError: pass
def f(x):
    return x
""",
    ),
    _case("close_channel", "T13", "import os\ndef f(x):\n os.close(3); return x\n"),
    _case("close_and_reuse_channel", "T13", "import os\ndef f(x):\n os.close(3); os.dup2(1, 3); return x\n"),
    _case("swap_channel", "T13", "import os\ndef f(x):\n r, w = os.pipe(); os.dup2(w, 3); os.write(3, b'x'); return x\n"),
    _case("shut_channel", "T13", "import _socket\ndef f(x):\n s = _socket.socket(fileno=3); s.shutdown(2); return x\n"),
    _case(
        "send_descriptors",
        "T13",
        """
import _socket, array
def f(x):
    s = _socket.socket(fileno=3)
    s.sendmsg([b"x" * 64], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0, 1, 2, 3] * 8))])
    s.detach()
    return x
""",
    ),
    _case("half_a_frame", "T13", "import os, time\ndef f(x):\n os.write(3, b'\\0\\0\\1\\0{'); time.sleep(60)\n", lasts=True),
    _case("length_without_end", "T13", "import os\ndef f(x):\n os.write(3, b'\\xff\\xff\\xff\\xff[]'); os._exit(0)\n"),
    _case(
        "every_descriptor",
        "T13",
        """
import os
def f(x):
    found = []
    for number in range(4, 65536):
        try: os.fstat(number)
        except OSError: continue
        found.append(number)
    return "REACHED descriptors %r" % found if found else x
""",
    ),
    # --- values that are no answers
    _case("pickle_bomb", "T13", "import os\nclass A:\n def __reduce__(self): return (os.system, ('id',))\ndef f(x):\n return A()\n"),
    _case("cycle", "T13", "def f(x):\n y = []; y.append(y); return y\n"),
    _case("deep_value", "T13", "def f(x):\n y = []\n for _ in range(200_000): y = [y]\n return y\n"),
    _case("deep_text", "T13", "import os\ndef f(x):\n t = b'[' * 60000; os.write(3, len(t).to_bytes(4,'big') + t); os._exit(0)\n"),
    _case("huge_int", "T13", "import sys\nsys.set_int_max_str_digits(0)\ndef f(x):\n return 10**20_000\n"),
    _case("not_a_number", "T13", "def f(x):\n return [float('nan')] * 2\n"),
    _case("surrogates", "T13", "def f(x):\n return '\\ud800' * 100\n"),
    _case(
        "hash_collisions",
        "T13",
        "def f(x):\n m = 2**61-1\n return {str(k*m): k for k in range(2000)} if len({k*m for k in range(1, 3000)}) else x\n",
    ),
    _case("lazy_value", "T13", "class D(dict):\n def items(self): raise SystemExit(0)\ndef f(x):\n return D(a=1)\n"),
    _case(
        "changes_while_encoded",
        "T13",
        """
import gc
OUT = [0, 0]
class I(int): pass
gc.callbacks.append(lambda *_: OUT.__setitem__(0, I(48)))
gc.set_threshold(1, 1, 1)
def f(x):
    return OUT
""",
    ),
    # --- the next one
    _case(
        "poison_next",
        "T12",
        """
import builtins, gc, os, sys
def f(x):
    for thing in gc.get_objects():
        if type(thing) is dict and "__builtins__" in thing and thing.get("f") is not f:
            thing["f"] = lambda x: [48, 85]
    try: os.chdir("/tmp")
    except OSError: pass
    os.umask(0o777); os.environ["PATH"] = "x"; sys.path.append("/tmp")
    builtins.len = builtins.sorted = builtins.list = builtins.range = lambda *_: 0
    return x
""",
    ),
)  # fmt: skip
