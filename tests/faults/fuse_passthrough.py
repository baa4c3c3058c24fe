#!/usr/bin/env python3
"""Passes a file system on to a directory, through FUSE: fuse_passthrough.py DIRECTORY MOUNT_POINT.

Runs in the foreground until it is unmounted or killed. As plain as possible, so that what the tests see is what FUSE
does: no fallocate, one request for each write.
"""

import errno
import os
import sys

try:
    # Debian's name for it; there, `fuse` is another package.
    try:
        from fusepy import FUSE, FuseOSError, Operations
    except ImportError:
        from fuse import FUSE, FuseOSError, Operations
except (ImportError, OSError) as error:
    sys.exit(f"fuse_passthrough.py: fusepy and libfuse2 are needed: {error}")


class Passthrough(Operations):
    def __init__(self, root):
        self.root = root

    def at(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def __call__(self, operation, *arguments):
        try:
            return super().__call__(operation, *arguments)
        except OSError as error:
            raise FuseOSError(error.errno or errno.EIO) from error

    def getattr(self, path, handle=None):
        status = os.lstat(self.at(path))
        names = ("atime", "ctime", "gid", "mode", "mtime", "nlink", "size", "uid", "blocks")
        return {f"st_{name}": getattr(status, f"st_{name}") for name in names}

    def readdir(self, path, handle):
        return [".", "..", *os.listdir(self.at(path))]

    def statfs(self, path):
        status = os.statvfs(self.at(path))
        names = ("bavail", "bfree", "blocks", "bsize", "favail", "ffree", "files", "flag", "frsize", "namemax")
        return {f"f_{name}": getattr(status, f"f_{name}") for name in names}

    def chmod(self, path, mode):
        return os.chmod(self.at(path), mode)

    def chown(self, path, uid, gid):
        return os.chown(self.at(path), uid, gid)

    def mkdir(self, path, mode):
        return os.mkdir(self.at(path), mode)

    def rmdir(self, path):
        return os.rmdir(self.at(path))

    def unlink(self, path):
        return os.unlink(self.at(path))

    def rename(self, old, new):
        return os.rename(self.at(old), self.at(new))

    def utimens(self, path, times=None):
        return os.utime(self.at(path), times)

    def open(self, path, flags):
        return os.open(self.at(path), flags)

    def create(self, path, mode, info=None):
        return os.open(self.at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path, size, offset, handle):
        return os.pread(handle, size, offset)

    def write(self, path, data, offset, handle):
        return os.pwrite(handle, data, offset)

    def truncate(self, path, length, handle=None):
        return os.truncate(self.at(path), length) if handle is None else os.ftruncate(handle, length)

    def release(self, path, handle):
        return os.close(handle)

    def fsync(self, path, data_only, handle):
        return os.fdatasync(handle) if data_only else os.fsync(handle)

    def fsyncdir(self, path, data_only, handle):
        return None


if __name__ == "__main__":
    FUSE(Passthrough(sys.argv[1]), sys.argv[2], foreground=True, nothreads=False, big_writes=True, use_ino=False)
