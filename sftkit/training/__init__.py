"""Learning SFTs.

- ``settings`` (with ``fields``, ``recipes`` and ``methods.registry``): what a run is asked for. No torch.
- ``lottery``: from settings to SFTs; ``rehearsal``: a few steps of the same; ``observer``: who is told.
- ``loading``, ``examples``, ``tunable``, ``planning``: what a run has at first. ``tuning``: a run and its phases.
- ``methods``: a file each; ``selection``: what they choose by. ``engine``: one phase, in one process or several.
- ``artifact``: the SFT that is left.
"""
