"""How often the verdict says what is false, and how often what is true, in studies made up."""
