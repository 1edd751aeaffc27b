"""Small state that Python alone reads and writes, through py-lmdb and msgpack. The only importer of `lmdb`."""
