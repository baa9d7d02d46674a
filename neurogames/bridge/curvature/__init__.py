"""Second derivatives of the loss of a network: operators ``A @ v``, and Kronecker factors layer by layer.

operator             one interface for every curvature matrix: products, a block of it, dense, SciPy
lanczos              the smallest and the largest eigenvalue of an operator
gate_operators       the exact Hessian and the Gauss-Newton matrix of the loss in the gates of a network
gate_curvature       the second-order model of the loss in the gates, module by module, and how negative the Hessian is
layer_arrays         the one form of a layer's inputs and of the gradients at its outputs
layer_recorder       both, recorded in an ordinary pass forward and back
layer_calls          how recorded calls come together to arrays
kronecker            Kronecker factors of the Fisher matrix of a layer, and their damped inverse
eigenbasis           their eigenvectors, and exact second moments of the gradients in that basis
layer_curvature      what is remembered of a layer from step to step, and the direction that follows
sampled_loss         losses of drawn labels, whose gradients make the true Fisher matrix
layer_batches        what a step needs of the recorded layers, and whether it is finite
parameter_steps      what is done parameter by parameter: momentum, decay, and the direction without factors
kronecker_optimizer  steps along these directions
kfac                 the optimizers KFAC and EKFAC

Arrays of a layer have one normal form here, and only ``layer_arrays`` knows how kinds of layers come to it::

    inputs            a  (rows, shared, d_in [+ 1])   what the weights are multiplied with; 1 at the end for a bias
    output gradients  g  (rows, shared, d_out)        dL / d outputs
    weights           W  (d_out, d_in [+ 1])          outputs = W a, so that dL/dW = sum over rows, shared of g a'

"shared" runs over the places at which a layer uses the same weights for one row: 1 for a Linear on (rows, features),
tokens for a Linear on (rows, tokens, features), positions of the kernel for a convolution. Whatever is written for
Linear layers (Kronecker factors, for instance) then holds for convolutions too.
"""
