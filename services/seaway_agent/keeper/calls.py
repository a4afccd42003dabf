"""Lists of system calls, made one after another by a new process that shares this one's memory until it is a program.

Python can do this with `fork` alone: then both copy what they write to, some five hundred pages, which takes longer
than all the calls. A process that shares memory must run nothing of Python's or of the C library's, so the list is
data, and the program that goes through it is these 46 bytes. They use no stack, so two processes of which one waits for
the other can go through the same list. For x86-64.
"""

import ctypes
import mmap
import os
import signal
import struct
from typing import Final

MACHINE: Final = "x86_64"

_CODE: Final = bytes.fromhex(
    "4889fb"  #         mov   rbx, rdi
    "488b03"  #   next: mov   rax, [rbx]        a call: its number, five arguments, the least result, what if less
    "488b7b08"  #       mov   rdi, [rbx+8]
    "488b7310"  #       mov   rsi, [rbx+16]
    "488b5318"  #       mov   rdx, [rbx+24]
    "4c8b5320"  #       mov   r10, [rbx+32]
    "4c8b4328"  #       mov   r8, [rbx+40]
    "0f05"  #           syscall
    "483b4330"  #       cmp   rax, [rbx+48]
    "7c06"  #           jl    failed
    "4883c340"  #       add   rbx, 64
    "ebdb"  #           jmp   next
    "488b5b38"  # failed: mov rbx, [rbx+56]
    "ebd5"  #           jmp   next
)
_DATA: Final = 32 << 10
_SIZE: Final = 512 << 10
_STACK: Final = 4096
_WORD: Final = 8
_CALL: Final = 8
_ARGUMENTS: Final = 5
_CLONE_VM: Final = 0x100
_WCLONE: Final = -(1 << 31)
ANYTHING: Final = -(1 << 63)
"""As the least result: the call may fail."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.clone.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def executable() -> int:
    """The address of the program. Raises OSError where this process may have none that it made itself, or on another
    kind of machine.
    """
    if os.uname().machine != MACHINE:
        raise OSError("this is written for x86-64")
    code = mmap.mmap(-1, mmap.PAGESIZE)
    code.write(_CODE)
    address = _address(code)
    if _libc.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "mprotect")
    _pages.append(code)
    return address


_pages: list[mmap.mmap] = []


class Calls:
    """One list, and the memory that its arguments point to. That must be left alone until each process that goes
    through it has ended or is a program; then the list can be begun anew.

    What is added before `start` is what is done once a call has failed. Both parts must end the process.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._base = _address(self._memory)
        self.begin()

    def begin(self) -> None:
        """An empty list."""
        self._words: list[int] = []
        self._start = self._base
        self._end = _DATA

    def put(self, data: bytes) -> int:
        """The address of a copy. Raises OverflowError where there is no room."""
        start, self._end = self._end, self._end + (len(data) + 7 & ~7)
        if self._end > _SIZE - _STACK:
            raise OverflowError("too much to say")
        self._memory[start : start + len(data)] = data
        return self._base + start

    def text(self, text: str) -> int:
        """The address of a string of C. Raises ValueError for one that can't be."""
        encoded = os.fsencode(text)
        if b"\0" in encoded:
            raise ValueError("embedded null byte")
        return self.put(encoded + b"\0")

    def texts(self, texts: list[str]) -> int:
        """The address of an array of strings, as execve takes them."""
        return self.numbers("q", *map(self.text, texts), 0)

    def numbers(self, kind: str, *numbers: int) -> int:
        """The address of an array; `kind` as in `struct`. Raises OverflowError for a number that it doesn't hold."""
        try:
            return self.put(struct.pack(f"={len(numbers)}{kind}", *numbers))
        except struct.error as error:
            raise OverflowError(str(error)) from None

    def number_at(self, address: int) -> int:
        """What a call has left at the address of an array of `i`."""
        number: int = struct.unpack_from("=i", self._memory, address - self._base)[0]
        return number

    def add(self, number: int, *arguments: int, least: int = 0, skip: int = 0) -> None:
        """One more call, which has failed if it gives less than `least`. With `skip`, that only means that as many
        calls behind it are left out.
        """
        behind = len(self._words) + (1 + skip) * _CALL
        then = self._base + behind * _WORD if skip else self._base
        self._words += (number, *arguments, *(0,) * (_ARGUMENTS - len(arguments)), least, then)

    def start(self) -> None:
        """What is added from here on is done first."""
        self._start = self._base + len(self._words) * _WORD

    def run(self, code: int) -> int:
        """The pid of the process that makes the calls. Its signals are blocked, and its end is none for this process:
        see `has_ended`. Raises OSError, OverflowError.
        """
        if len(self._words) * _WORD > _DATA:
            raise OverflowError("too many calls")
        struct.pack_into(f"={len(self._words)}q", self._memory, 0, *self._words)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)
        try:
            pid: int = _libc.clone(code, self._base + _SIZE, _CLONE_VM, self._start)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if pid < 0:
            raise OSError(ctypes.get_errno(), "clone")
        return pid


def has_ended(pid: int) -> bool:
    """Wait for a process that was made to go through a list: whether it ended as such. If not it became a program, and
    is waited for as other children are.
    """
    try:
        return os.waitpid(pid, _WCLONE)[0] == pid
    except ChildProcessError:
        return False


_ALL_SIGNALS: Final = signal.valid_signals()


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
