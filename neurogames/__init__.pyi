from . import engine as engine
from . import games as games
