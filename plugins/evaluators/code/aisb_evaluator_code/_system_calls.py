"""The seccomp filter of every box: it refuses system calls that a graded program never needs.

It refuses calls with a large attack surface in the kernel (io_uring, bpf, perf events, keyrings,
userfaultfd), new namespaces within the box, memory outside the limits of a process (memfd, System V
segments, shared anonymous mappings, descriptors on their way through sockets), access to other
processes, and sockets. A refused call fails with EPERM.
"""

from __future__ import annotations

import struct

# seccomp_data: the number at 0, the architecture at 4, the 8-byte arguments from 16 on, low word first.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_X32 = 0x40000000
"""The bit of the call numbers of the x32 ABI on x86_64."""

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The machines for which there is a filter, with the kernel's AUDIT_ARCH values."""

NEW_NAMESPACES = 0x7E020000
"""The flags of clone that create namespaces."""

# The numbers on x86_64 and on aarch64; None if the machine does not have the call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # Namespaces, mounts, and the root.
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    # Memory that belongs to no process, or to others.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "vmsplice": (278, 75), "userfaultfd": (323, 282),
    # Other processes.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    # A large attack surface in the kernel.
    "bpf": (321, 280), "perf_event_open": (298, 241), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "lookup_dcookie": (212, 18),
    # Sockets; `socketpair` stays allowed, since event loops use it. Only `sendmsg` can send descriptors: on
    # their way they belong to no process, and neither does what waits in those sockets and pipes.
    "socket": (41, 198), "bind": (49, 200), "connect": (42, 203), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # The machine itself.
    "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142), "sethostname": (170, 161),
    "setdomainname": (171, 162), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "syslog": (103, 116), "vhangup": (153, 58),
    "personality": (135, 92), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "uselib": (134, None), "ustat": (136, None), "sysfs": (139, None),
}  # fmt: skip
_CLONE, _CLONE3, _IOCTL, _FCNTL, _SETSOCKOPT = (56, 220), (435, 435), (16, 29), (72, 25), (54, 208)
_MMAP = (9, 222)
_SHARED, _ANONYMOUS = 0x01, 0x20
"""Flags of mmap. All pages of such a mapping stay until the last is unmapped, in the memory of no process."""
_TYPE_INTO_A_TERMINAL = (0x5412, 0x541C)
_PIPE_SIZE = 1031
_BUFFER_SIZES = (7, 8, 32, 33)
"""SO_SNDBUF, SO_RCVBUF and their forced forms: what waits in a socket is memory of no process."""


def system_call_filter(machine: str) -> bytes | None:
    """Return the filter as a BPF program, 8 bytes an instruction; None for other machines."""
    if machine not in ARCHITECTURES:
        return None
    column = list(ARCHITECTURES).index(machine)
    code = [_load(_ARCHITECTURE), _jump(_EQUAL, ARCHITECTURES[machine], 1, 0), _return(_KILL), _load(_NUMBER)]
    if machine == "x86_64":
        code += _refuse_if(_AT_LEAST, _X32)
    code += _refuse_if(_EQUAL, _CLONE3[column], _ENOSYS)  # ENOSYS: libraries then use clone
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            code += _refuse_if(_EQUAL, number)
    code += _refuse_shared_memory(_MMAP[column])
    code += _refuse_argument(_CLONE[column], 0, _ANY_BIT, (NEW_NAMESPACES,))
    code += _refuse_argument(_IOCTL[column], 1, _EQUAL, _TYPE_INTO_A_TERMINAL)
    code += _refuse_argument(_FCNTL[column], 1, _EQUAL, (_PIPE_SIZE,))
    code += _refuse_argument(_SETSOCKOPT[column], 2, _EQUAL, _BUFFER_SIZES)
    return b"".join([*code, _return(_ALLOW)])


def _load(offset: int) -> bytes:
    return struct.pack("<HBBI", _LOAD, 0, 0, offset)


def _jump(how: int, value: int, if_so: int, if_not: int) -> bytes:
    return struct.pack("<HBBI", how, if_so, if_not, value)


def _return(value: int) -> bytes:
    return struct.pack("<HBBI", _RETURN, 0, 0, value)


def _refuse_if(how: int, value: int, error: int = _EPERM) -> list[bytes]:
    return [_jump(how, value, 0, 1), _return(_ERROR | error)]


def _refuse_argument(number: int, position: int, how: int, values: tuple[int, ...]) -> list[bytes]:
    """Refuse a call for some values of the low word of one argument, and allow it otherwise."""
    inner = [_load(_ARGUMENTS + 8 * position)]
    for value in values:
        inner += _refuse_if(how, value)
    inner.append(_return(_ALLOW))
    return [_jump(_EQUAL, number, 0, len(inner)), *inner]


def _refuse_shared_memory(number: int) -> list[bytes]:
    inner = [
        _load(_ARGUMENTS + 8 * 3),
        _jump(_ANY_BIT, _ANONYMOUS, 0, 2),
        _jump(_ANY_BIT, _SHARED, 0, 1),
        _return(_ERROR | _EPERM),
        _return(_ALLOW),
    ]
    return [_jump(_EQUAL, number, 0, len(inner)), *inner]
