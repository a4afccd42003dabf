"""Builds by BuildKit: clients' gRPC relayed to a stock buildkitd, its images taken into the image service.

h2 and protobuf are imported with the modules that need them, at the first build: `entry.py` sees to that.
"""
