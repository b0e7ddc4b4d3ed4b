"""What people and the bot say to each other, one idea a module; `bots.telegram.dialogue` brings the words there."""
