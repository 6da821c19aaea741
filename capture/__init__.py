"""From recordings to data sets: one file = one step. `rig` puts the steps for synchronised cameras together."""
