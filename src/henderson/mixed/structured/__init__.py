"""The mixed-model equations with any structure: factors T within levels, precisions among levels and among rows.

model       -> terms in standard coordinates       parameters -> one vector, what is held and tied
weighted    -> A = [Z X y]' R^-1 [Z X y]            equations  -> C~ at given T, K, R: factor, inverse, solves
criterion   -> D at theta                           derivatives-> gradient, average information
start, optimise -> theta^                           solution, information -> estimates and their variances
"""
