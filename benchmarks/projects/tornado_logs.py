"""What tornado's own runner sets before its tests, which hold that nothing is logged."""

import logging

logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
