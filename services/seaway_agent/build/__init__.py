"""Builds of images: buildah in a mount namespace, a cgroup and a directory of each build's own."""
