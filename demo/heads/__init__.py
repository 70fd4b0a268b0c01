"""Made-up heads: computed T1w images with lesions and known truth."""
