"""The recorded sweeps: a module a chapter, a cell and a grid of settings, run by one engine.

In each cell ``dataset`` says whose patients, ``seed`` is that of everything, ``split`` the split
layer, ``attribute`` what is guessed, and ``epsilon`` that of the training, infinite without DP-SGD.
"""
