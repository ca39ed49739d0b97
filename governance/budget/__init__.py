"""What tokens cost, and ceilings that hold: reserved before, settled after."""
