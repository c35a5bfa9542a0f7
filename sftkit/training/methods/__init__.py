"""How positions are chosen: a file a method. See ``registry`` for how to add one."""
