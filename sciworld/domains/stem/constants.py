"""Numbers of the field that both the finder and the trusted simulator need; neither imports the other."""

import math

LATTICE = 2.46  # A, graphene's lattice constant
BOND = LATTICE / math.sqrt(3.0)  # A, 1.42
ELECTRONS_PER_NA = 6.241509e9  # electrons a second in 1 nA (CODATA's elementary charge)
