"""Candidates that want something of the machine: files, secrets, network, other processes, the kernel. T02 to T07.

``REACHED`` in what a case returns means that it got what no candidate may have from level SL2 on.
"""

from __future__ import annotations

from tests.hostile.cases import Case

__all__ = ["CASES", "SYSCALLS"]


def _attempts(name: str, threat: str, *attempts: str, setup: str = "", least: str = "SL1") -> Case:
    """Each attempt is an expression; what it yields is loot."""
    tries = "".join(f"    lambda: {attempt},\n" for attempt in attempts)
    source = f"""
import os, sys
{setup}
TRIES = [
{tries}]
def f(x):
    loot = []
    for number, attempt in enumerate(TRIES):
        try:
            loot.append("REACHED %d: %.200r" % (number, attempt()))
        except BaseException as error:
            pass
    return loot or "nothing"
"""
    return Case(name=name, threat=threat, source=source, least=least)


_WRITE = """
def write(path):
    with open(path, "w") as file:
        file.write("was here")
"""
_SOCKET = """
import _socket
def talk(family, kind, address, protocol=0):
    s = _socket.socket(family, kind, protocol)
    s.settimeout(0.2)
    if address is not None:
        s.connect(address) if kind == _socket.SOCK_STREAM else s.sendto(b"was here", address)
"""
_LIBC = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(each) if type(each) is int else each for each in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno())
    return result
"""

SYSCALLS: dict[str, tuple[int, str]] = {
    "ptrace": (101, "16, os.getppid(), 0, 0"),
    "unshare": (272, "0x10000000"),
    "setns": (308, "3, 0"),
    "mount": (165, "b'none', b'/tmp', b'tmpfs', 0, 0"),
    "pivot_root": (155, "b'/', b'/'"),
    "chroot": (161, "b'/tmp'"),
    "bpf": (321, "5, ctypes.create_string_buffer(128), 72"),
    "userfaultfd": (323, "1"),
    "perf_event_open": (298, "ctypes.create_string_buffer(b'\\x01\\0\\0\\0\\x70', 128), 0, -1, -1, 0"),
    "io_uring_setup": (425, "8, ctypes.create_string_buffer(120)"),
    "memfd_create": (319, "b'x', 0"),
    "memfd_secret": (447, "0"),
    "keyctl_session": (250, "1, 0"),
    "add_key": (248, "b'user', b'@MARK@', b'was here', 8, -3"),
    "request_key": (249, "b'user', b'@MARK@', 0, 0"),
    "personality": (135, "0x0040000"),
    "name_to_handle_at": (303, "-100, b'/', ctypes.create_string_buffer(b'\\x80', 256), ctypes.create_string_buffer(8), 0"),
    "open_by_handle_at": (304, "-100, ctypes.create_string_buffer(256), 0"),
    "process_vm_readv": (310, "os.getppid(), ctypes.create_string_buffer(16), 1, ctypes.create_string_buffer(16), 1, 0"),
    "process_vm_writev": (311, "os.getppid(), ctypes.create_string_buffer(16), 1, ctypes.create_string_buffer(16), 1, 0"),
    "process_madvise": (440, "3, ctypes.create_string_buffer(16), 1, 4, 0"),
    "kcmp": (312, "os.getpid(), os.getppid(), 0, 3, 3"),
    "pidfd_open": (434, "os.getppid(), 0"),
    "pidfd_getfd": (438, "3, 3, 0"),
    "kill_parent": (62, "os.getppid(), 0"),
    "kill_all": (62, "-1, 0"),
    "tgkill_parent": (234, "os.getppid(), os.getppid(), 0"),
    "rt_sigqueueinfo": (129, "os.getppid(), 10, ctypes.create_string_buffer(b'\\0' * 8 + b'\\xff\\xff\\xff\\xff', 128)"),
    "clone": (56, "17, 0, 0, 0, 0"),
    "clone3": (435, "ctypes.create_string_buffer(b'\\0' * 32 + b'\\x11', 88), 88"),
    "vfork_by_clone": (56, "0x4111, 0, 0, 0, 0"),
    "execve": (59, "b'/bin/true', None, None"),
    "execveat": (322, "-100, b'/bin/true', None, None, 0"),
    "socket_inet": (41, "2, 1, 0"),
    "socket_inet6": (41, "10, 1, 0"),
    "socket_unix": (41, "1, 1, 0"),
    "socket_netlink": (41, "16, 3, 0"),
    "socket_packet": (41, "17, 3, 0"),
    "socket_vsock": (41, "40, 1, 0"),
    "socket_alg": (41, "38, 5, 0"),
    "socket_xdp": (41, "44, 3, 0"),
    "socketpair": (53, "1, 1, 0, ctypes.create_string_buffer(8)"),
    "shmget": (29, "@IPC@, 4096, 0o1666"),
    "semget": (64, "@IPC@, 1, 0o1666"),
    "msgget": (68, "@IPC@, 0o1666"),
    "mq_open": (240, "b'@MARK@', 0o102, 0o666, None"),
    "inotify_add_watch": (254, "libc.syscall(294, 0), b'/tmp', 0xfff"),
    "fanotify_init": (300, "0, 0"),
    "swapon": (167, "b'/tmp/x', 0"),
    "reboot": (169, "0xfee1dead, 672274793, 0, 0"),
    "sethostname": (170, "b'canary', 6"),
    "settimeofday": (164, "ctypes.create_string_buffer(16), 0"),
    "clock_settime": (227, "0, ctypes.create_string_buffer(16)"),
    "adjtimex": (159, "ctypes.create_string_buffer(b'\\x01', 256)"),
    "init_module": (175, "b'x', 1, b''"),
    "kexec_load": (246, "0, 0, 0, 0"),
    "iopl": (172, "3"),
    "ioperm": (173, "0, 8, 1"),
    "acct": (163, "0"),
    "quotactl": (179, "0, 0, 0, 0"),
    "syslog": (103, "3, ctypes.create_string_buffer(4096), 4096"),
    "lookup_dcookie": (212, "0, 0, 0"),
    "setuid_root": (105, "0"),
    "setresuid_root": (117, "0, 0, 0"),
    "setgroups_root": (116, "1, ctypes.create_string_buffer(4)"),
    "capset": (126, "ctypes.create_string_buffer(b'\\x22\\x05\\x08\\x20', 8), ctypes.create_string_buffer(b'\\xff' * 24, 24)"),
    "landlock_create": (444, "ctypes.create_string_buffer(b'\\x01', 8), 8, 0"),
    "seccomp_off": (317, "0, 0, 0"),
    "sched_setscheduler_fifo": (144, "0, 1, ctypes.create_string_buffer(b'\\x01\\0\\0\\0', 4)"),
    "setpriority_high": (141, "0, 0, -20"),
    "migrate_pages": (256, "0, 0, 0, 0"),
    "mlockall": (151, "1"),
    "remap_file_pages": (216, "0, 0, 0, 0, 0"),
    "vmsplice": (278, "3, ctypes.create_string_buffer(16), 1, 0"),
    "tee": (276, "3, 3, 1, 0"),
    "modify_ldt": (154, "1, ctypes.create_string_buffer(16), 16"),
    "mprotect_exec": (10, "libc.mmap(0, 4096, 3, 0x22, -1, 0) or 0, 4096, 7"),
    "open_tree": (428, "-100, b'/', 0"),
    "fsopen": (430, "b'tmpfs', 0"),
    "io_setup": (206, "1, ctypes.create_string_buffer(8)"),
    "ustat": (136, "0, 0"),
    "x32_getpid": (0x40000000 + 39, ""),
}
"""Number on x86-64 and arguments with which a call could succeed; each is a case of its own, since a filter may kill."""

_STALLS = frozenset(("ptrace", "rt_sigqueueinfo"))
"""Where nothing stops these, they stop the zygote; it is found hung and replaced, but that takes long."""

_SHELLCODE = """
import ctypes, mmap
CODE = bytes.fromhex("b827000000" "0f05" "c3")  # mov eax, 39; syscall; ret
def run(protection):
    area = mmap.mmap(-1, 4096, prot=protection)
    area.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()
def flipped():
    libc = ctypes.CDLL(None, use_errno=True)
    area = mmap.mmap(-1, 4096, prot=3)
    area.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    if libc.mprotect(ctypes.c_void_p(address), 4096, 5): raise OSError
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()
"""

CASES = (
    # --- files and secrets
    _attempts(
        "write_outside", "T04", "write('@OPEN@/written')", "write('/tmp/@MARK@')", "write('/dev/shm/@MARK@')", "write('/var/tmp/@MARK@')",
        "write('@KEYFILE@')", "os.mkdir('@OPEN@/folder')", "os.mkfifo('@OPEN@/fifo')", "os.symlink('/etc', '@OPEN@/link')",
        "os.link('@KEYFILE@', '@OPEN@/hard')", "os.rename('@KEYFILE@', '@OPEN@/moved')", "os.truncate('@KEYFILE@', 1)",
        "os.unlink('@KEYFILE@')", setup=_WRITE,
    ),
    _attempts(
        "change_metadata", "T04", "os.chmod('@KEYFILE@', 0o666)", "os.utime('@KEYFILE@', (1, 1))", "os.setxattr('@KEYFILE@', 'user.a', b'1')",
        "os.chown('@KEYFILE@', 65534, 65534)", "os.chmod('@OPEN@', 0o700)", "os.utime('@OPEN@', (1, 1))",
    ),
    _attempts("chmod_by_number", "T04", "call(90, b'@KEYFILE@', 0o666)", "call(268, -100, b'@KEYFILE@', 0o666)",
              "call(452, -100, b'@KEYFILE@', 0o666, 0)", "call(280, -100, b'@KEYFILE@', None, 0)", "call(132, b'@KEYFILE@', None)",
              "call(235, b'@KEYFILE@', None)", "call(261, -100, b'@KEYFILE@', None)", "call(188, b'@KEYFILE@', b'user.a', b'1', 1, 0)",
              "call(463, -100, b'@KEYFILE@', 0, b'user.a', 0, 0)", setup=_LIBC),
    _attempts("read_passwd", "T05", "open('/etc/passwd').read()", "os.listdir('/etc')", "os.listdir('/')", "os.listdir('/home')"),
    _attempts("read_key", "T05", "open('@KEYFILE@').read()", "os.readlink('@OPEN@/key-link')", "os.listdir('@OPEN@')"),
    _attempts(
        "environment", "T05", "{k: v for k, v in os.environ.items() if k not in ('PYTHONHASHSEED', 'LC_CTYPE', 'PWD')}['LOOPWRIGHT_CANARY']",
        "[open(f'/proc/{p}/environ', 'rb').read() for p in ('self', os.getppid(), 1)]",
        "[open('/proc/%s/environ' % p, 'rb').read() for p in os.listdir('/proc') if p.isdigit()]",
    ),
    _attempts("other_processes", "T05", "[open('/proc/%d/cmdline' % p, 'rb').read() for p in (1, os.getppid())]",
              "open('/proc/%d/mem' % os.getppid(), 'rb').read(1)", "open('/proc/%d/maps' % os.getppid()).read(64) or 1/0",
              "os.listdir('/proc/%d/fd' % os.getppid())"),
    _attempts("own_memory_by_proc", "T05", "open('/proc/self/mem', 'r+b', 0)", "open('/proc/self/maps').read(64)",
              "open('/proc/self/task/%d/mem' % os.getpid(), 'rb', 0)"),
    _attempts("kernel_files", "T07", "open('/proc/sysrq-trigger', 'w')", "open('/proc/self/oom_score_adj', 'w').write('-1000')",
              "open('/proc/self/coredump_filter', 'w').write('1')", "open('/proc/sys/kernel/hostname').read()", "open('/dev/kmsg')",
              "open('/dev/urandom', 'w')", "os.open('/dev/ptmx', 2)", "open('/sys/kernel/mm/transparent_hugepage/enabled').read()"),
    # --- network
    _attempts(
        "connect", "T06", "talk(_socket.AF_INET, _socket.SOCK_STREAM, ('127.0.0.1', @TCP@))",
        "talk(_socket.AF_INET, _socket.SOCK_DGRAM, ('127.0.0.1', @UDP@))", "talk(_socket.AF_INET6, _socket.SOCK_STREAM, ('::1', @TCP@))",
        setup=_SOCKET,
    ),
    _attempts("connect_abstract", "T06", "talk(_socket.AF_UNIX, _socket.SOCK_STREAM, '\\0@ABSTRACT@')", setup=_SOCKET),
    _attempts("connect_unix", "T06", "talk(_socket.AF_UNIX, _socket.SOCK_STREAM, '@UNIX@')",
              "talk(_socket.AF_UNIX, _socket.SOCK_DGRAM, '@UNIX@.dgram')", setup=_SOCKET),
    _attempts("strange_sockets", "T06", "talk(16, 3, None)", "talk(17, 3, None, 0x300)", "talk(40, 1, None)", "talk(38, 5, None)",
              "talk(31, 3, None, 1)", "talk(2, 3, None, 1)", setup=_SOCKET),
    _attempts("resolve_names", "T06", "_socket.getaddrinfo('localhost', 80)", "_socket.gethostbyname('example.org')", setup="import _socket"),
    _attempts("listen", "T06", "(lambda s: (s.bind(('127.0.0.1', 0)), s.listen(), s.getsockname()))(_socket.socket())", setup="import _socket"),
    _attempts("connect_the_channel", "T06",
              "_socket.socket(fileno=3).connect('@UNIX@')", "_socket.socket(fileno=3).sendto(b'was here', '@UNIX@.dgram')",
              setup="import _socket"),
    # --- other processes
    Case(name="signal_parent", threat="T14", source="""
import os, signal
def f(x):
    loot = []
    try:
        with open("/proc/%d/stat" % os.getppid()) as text: driver = int(text.read().rpartition(")")[2].split()[1])
    except OSError: driver = @DRIVER@
    for target in (driver, @DRIVER@):
        for send in (lambda: os.kill(target, signal.SIGUSR1), lambda: signal.pidfd_send_signal(os.pidfd_open(target), signal.SIGUSR1)):
            try: send(); loot.append("REACHED")
            except OSError: pass
    return loot or "nothing"
"""),
    Case(name="kill_parent", threat="T14", least="SL2", source="""
import os, signal
def f(x):
    try: os.kill(os.getppid(), signal.SIGKILL); return "REACHED"
    except OSError: return "nothing"
"""),
    _attempts("fork_and_exec", "T02", "os.posix_spawn('/bin/true', ['true'], {})", "os.execv('/bin/sh', ['sh', '-c', 'echo PASS >&3'])",
              "os.forkpty()", "os.fork()"),
    _attempts("memfd_exec", "T07", "os.execve(os.memfd_create('x'), ['x'], {})", "os.memfd_create('x')"),
    _attempts("leave_session", "T14", "os.setsid()", "os.setpgid(0, os.getppid())", "os.tcsetpgrp(0, 1)"),
    _attempts("other_child", "T05", """[open('/proc/%s/mem' % p, 'rb') for p in range(os.getpid() - 20, os.getpid() + 20) if p != os.getpid()
              and os.path.exists('/proc/%s' % p)][0]""".replace("\n", " ")),
    Case(name="ptrace_siblings", threat="T05", least="SL2", source=f"""
import os
{_LIBC}
def f(x):
    loot = []
    for pid in range(max(2, os.getpid() - 30), os.getpid() + 30):
        for request in (16, 0x4206):
            try: call(101, request, pid, 0, 0); loot.append("REACHED %d" % pid)
            except OSError: pass
    return loot or "nothing"
"""),
    # --- undo what holds it
    _attempts("raise_limits", "T03", *(f"resource.setrlimit(resource.RLIMIT_{name}, (2**40, 2**40))" for name in ("AS", "FSIZE", "NPROC", "NOFILE", "CPU")),
              *(f"resource.prlimit(os.getppid(), resource.RLIMIT_{name}, (1, 1))" for name in ("AS", "CPU", "NOFILE")), setup="import resource"),
    _attempts("undo_prctl", "T07", "libc.prctl(38, 0, 0, 0, 0) and 1/0", "libc.prctl(22, 0, 0, 0, 0) and 1/0",
              "libc.prctl(4, 1, 0, 0, 0) and 1/0", "libc.prctl(1, 0, 0, 0, 0) and 1/0", "libc.prctl(36, 1, 0, 0, 0) and 1/0",
              "libc.prctl(35, 1, 0, 0, 0) and 1/0", "libc.prctl(0x59616d61, -1, 0, 0, 0) and 1/0", "libc.prctl(47, 2, 0, 0, 0) and 1/0",
              setup=_LIBC),
    _attempts("shellcode", "T07", "run(7)", "flipped()", setup=_SHELLCODE),
    _attempts("native_code", "T07", "ctypes.CDLL('@OPEN@/x.so')", "ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)()", setup="import ctypes"),
    Case(name="thirty_two_bit", threat="T07", source=f"""
import os
{_SHELLCODE.replace('b827000000" "0f05" "c3', 'b814000000" "cd80" "c3')}
def f(x):
    for attempt in (lambda: run(7), flipped):
        try: return "REACHED %r" % attempt()
        except BaseException: pass
    return "nothing"
"""),
    *(
        _attempts(
            f"call_{name}", "T07", f"call({number}, {arguments})", least="SL2" if name in _STALLS else "SL1",
            setup=_LIBC + ("libc.mmap.restype = ctypes.c_long" if "mmap" in arguments else ""),
        )
        for name, (number, arguments) in SYSCALLS.items()
    ),
)  # fmt: skip
