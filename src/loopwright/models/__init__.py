"""Model families that ship: the built-in small transformer, and language models from a local folder. They come through the entry points like anyone else's."""
