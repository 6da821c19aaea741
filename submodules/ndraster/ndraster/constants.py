"""The numbers of the splatting model, named once. `csrc/shared/constants.h` holds the same; a test compares them."""

TILE = 16  # pixels a side; lists of Gaussians are kept per tile
ALPHA_MIN = 1.0 / 255.0  # a Gaussian fainter than this at a pixel does not exist there
ALPHA_MAX = 0.99  # alpha is capped here; the gradient passes straight through the cap
TRANSMITTANCE_MIN = 1e-4  # blending stops before the Gaussian that would push transmittance below this
BLUR_PX2 = 0.3  # px^2 added to the diagonal of the projected covariance (low-pass)
ANTIALIAS_FLOOR = 0.000025  # lower bound of det C / det C' under antialiasing
FRUSTUM_MARGIN = 1.3  # x/z and y/z in the projection Jacobian are clamped to this many half field-of-views
EIGEN_FLOOR = 0.1  # lower bound under the root of the larger eigenvalue, for `radii`
RADIUS_SIGMAS = 3.0  # `radii` is this many standard deviations, rounded up
NEAR_DEFAULT = 0.2  # camera z at or below which a Gaussian is dropped
MEDIAN_TRANSMITTANCE = 0.5  # the median Gaussian is the one that takes transmittance below this
EPS_DET = 1e-12  # a projected covariance with a smaller determinant is dropped
MAX_FEATURES = 1024  # widest feature vector the compiled backends accept
