"""Lets packages of before Python 3.12 be built: on `PYTHONPATH` while they are installed, every Python that starts imports it.

pandahouse 0.2.7 is published as source alone, and its build reads `setup.cfg` through `configparser.SafeConfigParser`
and `readfp`, which Python 3.12 took out. Both are `ConfigParser` and `read_file` of today.
"""

import configparser

if not hasattr(configparser, "SafeConfigParser"):

    class SafeConfigParser(configparser.ConfigParser):
        def readfp(self, file, filename=None):
            self.read_file(file, filename)

    configparser.SafeConfigParser = SafeConfigParser
