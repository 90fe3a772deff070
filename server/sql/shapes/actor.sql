-- Who does something. At the command line (which has no address) it is nobody whom we know, whoever it is done for.
(select u.id from users u where u.id = (:caller::caller).user_id and :address::text is not null),
(select u.email from users u where u.id = (:caller::caller).user_id and :address::text is not null)
