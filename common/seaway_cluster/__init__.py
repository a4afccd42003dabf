"""Sagas: operations on containers that call several services over the bus, with an undo. No Docker JSON."""
