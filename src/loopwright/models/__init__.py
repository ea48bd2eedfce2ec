"""Model families that ship: the built-in small transformer. They come through the entry points like anyone else's."""
