"""Curvature of the loss: Hessian products, eigenvalues, trace, density, sharpness."""
