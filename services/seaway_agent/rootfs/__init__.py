"""Root file systems of containers: layers unpacked safely, init layers, writable layers, users, sizes."""
