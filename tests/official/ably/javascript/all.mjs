import './connection.mjs';
import './auth.mjs';
import './channels.mjs';
import './messages.mjs';
import './presence.mjs';
import './rest.mjs';
import './mutable.mjs';
import { main } from './runner.mjs';

await main();
