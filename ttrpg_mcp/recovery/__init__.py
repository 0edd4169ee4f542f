"""The recovery library: policies that know no game, no server and no database."""
