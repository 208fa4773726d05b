"""Reads and writes .npy files without NumPy, for the command-line tests."""
import ast, struct

CODES = {"<f4": "f", "<f8": "d", "<f2": "e", "<u2": "H", "|i1": "b", "|u1": "B"}


def write(path, values, shape=None, descr="<f4"):
    shape = tuple(shape) if shape is not None else (len(values),)
    header = str({"descr": descr, "fortran_order": False, "shape": shape})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        f.write(struct.pack("<%d%s" % (len(values), CODES[descr]), *values))


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    assert data[:6] == b"\x93NUMPY", path
    length = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + length].decode())
    body = data[10 + length:]
    code = CODES[header["descr"]]
    count = len(body) // struct.calcsize(code)
    return list(struct.unpack("<%d%s" % (count, code), body)), header["shape"]
