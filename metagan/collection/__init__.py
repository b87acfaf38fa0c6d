"""Collections of pictures with traits and prices: gathered, analysed, chosen from, and listed."""
